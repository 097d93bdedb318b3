// The machine view: the supervisor's status once every two seconds while the view is open, and the pause button.
import { get, post } from "./api.js";
import { draw, make } from "./dom.js";
import { word } from "./words.js";

const EVERY_MS = 2000;
const MOST = 1800; // an hour
const samples = [];
let section, notice, timer = null;

export function build(root, say) {
  [section, notice] = [root, say];
}

export async function enter() {
  await tell();
  timer ??= setInterval(() => { if (!document.hidden) tell().catch((error) => notice(error.message, true)); }, EVERY_MS);
}

export function leave() {
  clearInterval(timer);
  timer = null;
}

async function tell() {
  const status = await get("/v1/system/status");
  const advice = await get("/api/gpu-status").catch(() => null); // a user's key may not
  section.replaceChildren(...view(status, advice));
}

const sum = (numbers) => numbers.reduce((total, number) => total + (number ?? 0), 0);

function measure(status) {
  const healths = status.children.map((child) => child.health).filter(Boolean);
  const loads = healths.map((health) => health.load).filter(Boolean);
  const now = {
    at: performance.now() / 1000,
    running: sum(loads.map((load) => load.running)),
    waiting: sum(loads.map((load) => load.waiting)),
    tokens: sum(loads.map((load) => load.tokens)),
    pages: sum(healths.map((health) => health.ocr?.pages)),
    memory: sum(healths.map((health) => health.memory?.rss_bytes)),
    restarts: sum(status.children.flatMap((child) => Object.values(child.restarts ?? {}))),
  };
  const before = samples.at(-1);
  const rate = (name) => (before && now[name] >= before[name] ? (now[name] - before[name]) / (now.at - before.at) : 0);
  samples.push({ ...now, rate: rate("tokens"), pageRate: rate("pages"), restarted: before && now.restarts > before.restarts });
  samples.splice(0, samples.length - MOST);
  return samples.at(-1);
}

function view(status, advice) {
  const paused = status.background_paused;
  const head = make("div", { class: "row" },
    make("strong", {}, `Stoker ${status.version}`), make("span", { class: "dim" }, `${word("up")} ${duration(status.uptime_s)}`),
    make("button", { type: "button", class: paused ? "main" : "", onclick: () => pause(!paused) }, word(paused ? "resume" : "pause")),
    paused ? make("span", { class: "bad" }, word("paused")) : "");
  if (!status.children.some((child) => "health" in child)) return [head, processes(status)]; // what a user is told
  const now = measure(status);
  const cards = make("div", { class: "cards" },
    card("running", "running", now.running), card("waiting", "waiting", now.waiting), card("rate", "rate", now.rate.toFixed(1)),
    card("memory", "memory", size(now.memory)), card("pages", "pageRate", now.pageRate.toFixed(2)));
  return [head, cards, processes(status), advice ? recommendations(advice) : ""];
}

function card(name, series, value) {
  const most = Math.max(1e-9, ...samples.map((sample) => sample[series]));
  const x = (at) => (at / Math.max(1, samples.length - 1)) * 100;
  const path = samples.map((sample, at) => `${at ? "L" : "M"}${x(at).toFixed(2)},${(30 - (28 * sample[series]) / most).toFixed(2)}`).join("");
  const marks = samples.flatMap((sample, at) => (sample.restarted ? [draw("line", { x1: x(at), x2: x(at), y1: 0, y2: 30, stroke: "currentColor" })] : []));
  const chart = draw("svg", { viewBox: "0 0 100 30", preserveAspectRatio: "none", "aria-hidden": "true" }, ...marks, draw("path", { d: path }));
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
  return make("details", {}, make("summary", {}, word("advice")), make("pre", {}, JSON.stringify(advice.recommendations ?? advice, null, 1)));
}

async function pause(paused) {
  try {
    await post(`/api/gpu/${paused ? "pause" : "resume"}`, {});
    await tell();
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
