// The machine view: an hour of the supervisor's status, the processes, what is recommended, and the pause button.
import { get, post } from "./api.js";
import { draw, make } from "./dom.js";
import { follow } from "./status.js";
import { word } from "./words.js";

const MOST = 3600; // an hour
const POINTS = 300; // of a chart
const ADVICE_S = 15;
const samples = [];
let section, notice, leaveStatus = null, advice = null, advisedAt = -Infinity;

export function build(root, say) {
  [section, notice] = [root, say];
}

export async function enter() {
  await get("/version"); // whether the key is good
  leaveStatus ??= follow(show);
}

export function leave() {
  leaveStatus?.();
  leaveStatus = null;
}

function show(status, firstToken) {
  const act = document.activeElement?.dataset?.act;
  const open = section.querySelector("details")?.open;
  if (firstToken && performance.now() - advisedAt > ADVICE_S * 1000) advise();
  section.replaceChildren(...view(status, firstToken));
  if (open) section.querySelector("details")?.setAttribute("open", "");
  if (act) section.querySelector(`[data-act="${CSS.escape(act)}"]`)?.focus();
}

function advise() {
  advisedAt = performance.now();
  get("/api/gpu-status").then((answer) => { advice = answer; }, () => {});
}

const sum = (numbers) => numbers.reduce((total, number) => total + (number ?? 0), 0);

function measure(status, firstToken) {
  const healths = status.children.map((child) => child.health).filter(Boolean);
  const loads = healths.map((health) => health.load).filter(Boolean);
  const now = {
    at: performance.now() / 1000,
    running: sum(loads.map((load) => load.running)),
    waiting: sum(loads.map((load) => load.waiting)),
    tokens: sum(loads.map((load) => load.tokens)),
    pages: sum(healths.map((health) => health.ocr?.pages)),
    memory: sum(healths.map((health) => health.memory?.rss_bytes)),
    counts: firstToken.counts,
    gpu: status.gpu?.gpus?.[status.gpu.selected ?? 0]?.utilization ?? null,
    restarts: sum(status.children.flatMap((child) => Object.values(child.restarts ?? {}))),
  };
  const before = samples.at(-1);
  const rate = (name) => (before && now[name] >= before[name] ? (now[name] - before[name]) / (now.at - before.at) : 0);
  const reasons = status.children.flatMap((child) => Object.entries(child.restarts ?? {}).map(([why, count]) => `${child.name}: ${why} ${count}`));
  const restarted = before && now.restarts > before.restarts ? reasons.join(", ") : "";
  samples.push({ ...now, rate: rate("tokens"), pageRate: rate("pages"), restarted, ...firstTokens(now, firstToken.bounds) });
  samples.splice(0, samples.length - MOST);
  return samples.at(-1);
}

// The middle and the slow first tokens of the last minute, by the histogram's bounds; null without any.
function firstTokens(now, bounds) {
  const minute = samples.findLast((sample) => now.at - sample.at >= 60) ?? samples[0];
  const counts = now.counts.map((count, at) => count - (minute?.counts[at] ?? 0));
  const total = sum(counts);
  const upto = (share) => {
    if (total <= 0) return null;
    let seen = 0;
    const at = counts.findIndex((count) => (seen += count) >= share * total);
    return bounds[at] ?? Infinity;
  };
  return { p50: upto(0.5), p95: upto(0.95) };
}

const within = (seconds) => (Number.isFinite(seconds) && seconds !== null ? `≤ ${seconds} s` : "–");

function view(status, firstToken) {
  const paused = status.background_paused ?? false;
  const head = make("div", { class: "row" },
    make("strong", {}, `Stoker ${status.version}`), make("span", { class: "dim" }, `${word("up")} ${duration(status.uptime_s)}`),
    make("button", { type: "button", "data-act": "pause", class: paused ? "main" : "", onclick: () => pause(!paused) }, word(paused ? "resume" : "pause")),
    paused ? make("span", { class: "bad" }, word("paused")) : "");
  if (!firstToken) return [head, processes(status)]; // what a user is told
  const now = measure(status, firstToken);
  const cards = make("div", { class: "cards" },
    card("running", "running", now.running), card("waiting", "waiting", now.waiting), card("rate", "rate", now.rate.toFixed(1)),
    card("memory", "memory", size(now.memory)), card("pages", "pageRate", now.pageRate.toFixed(2)),
    card("firstToken", "p50", `${within(now.p50)} / ${within(now.p95)}`),
    now.gpu === null ? "" : card("gpuUse", "gpu", `${Math.round(100 * now.gpu)} %`));
  return [head, cards, processes(status), advice ? recommendations(advice) : ""];
}

function card(name, series, value) {
  const step = Math.ceil(samples.length / POINTS);
  const most = Math.max(1e-9, ...samples.map((sample) => sample[series] ?? 0).filter(Number.isFinite));
  const x = (at) => (at / Math.max(1, samples.length - 1)) * 100;
  const path = samples.flatMap((sample, at) => (at % step ? [] : [ `${at ? "L" : "M"}${x(at).toFixed(2)},${(30 - (28 * Math.min(sample[series] ?? 0, most)) / most).toFixed(2)}`])).join("");
  const marks = samples.flatMap((sample, at) => (sample.restarted ? [draw("line", { x1: x(at), x2: x(at), y1: 0, y2: 30, stroke: "currentColor" }, draw("title", {}, sample.restarted))] : []));
  const chart = draw("svg", { viewBox: "0 0 100 30", preserveAspectRatio: "none", role: "img", "aria-label": word(name) }, ...marks, draw("path", { d: path }));
  return make("div", { class: "card" }, make("div", { class: "dim" }, word(name)), make("b", {}, String(value)), chart);
}

function processes(status) {
  const head = ["process", "state", "uptime", "restarts", "detail"].map((name) => make("th", { scope: "col" }, word(name)));
  const rows = status.children.map((child) => make("tr", {},
    make("td", {}, child.name), make("td", { class: child.state === "ready" ? "good" : "bad" }, child.state),
    make("td", {}, child.uptime_s ? duration(child.uptime_s) : "–"),
    make("td", {}, Object.entries(child.restarts ?? {}).map(([why, count]) => `${why} ${count}`).join(", ") || "0"),
    make("td", {}, child.detail ?? "")));
  return make("table", {}, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...rows));
}

function recommendations(advice) {
  const told = Object.entries(advice.recommendations ?? {}).map(([name, text]) => make("li", {}, make("code", {}, name), ` ${typeof text === "string" ? text : JSON.stringify(text)}`));
  return make("details", {}, make("summary", {}, word("advice")), make("ul", {}, ...told));
}

async function pause(paused) {
  try {
    await post(`/api/gpu/${paused ? "pause" : "resume"}`, {});
  } catch (error) {
    notice(error.message, true);
  }
}

export function size(bytes) {
  return bytes >= 1e9 ? `${(bytes / 1e9).toFixed(1)} GB` : `${Math.round((bytes ?? 0) / 1e6)} MB`;
}

function duration(seconds) {
  const minutes = Math.floor(seconds / 60);
  if (minutes < 1) return `${Math.round(seconds)} s`;
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
