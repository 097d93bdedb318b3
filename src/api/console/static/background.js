// The background view: batches, OCR jobs that have not ended, and why work nobody waits for stands still.
import { get, post, remove } from "./api.js";
import { make } from "./dom.js";
import { follow } from "./status.js";
import { word } from "./words.js";

const EVERY_MS = 3000;
const ENDED = ["completed", "failed", "expired", "cancelled"];
let section, notice, timer = null, leaveStatus = null, paused = null, why = "";

export function build(root, say) {
  [section, notice] = [root, say];
}

export async function enter() {
  await show();
  timer ??= setInterval(() => { if (!document.hidden) show().catch((error) => notice(error.message, true)); }, EVERY_MS);
  leaveStatus ??= follow((status) => {
    const first = paused === null;
    paused = status.background_paused ?? false;
    why = status.background_reason ?? "";
    if (first) show().catch((error) => notice(error.message, true));
  });
}

export function leave() {
  clearInterval(timer);
  leaveStatus?.();
  timer = leaveStatus = null;
}

async function show() {
  const [{ data }, jobs] = await Promise.all([get("/v1/batches?limit=50"), get("/v1/ocr/jobs?limit=50")]);
  const rows = [...data.map(batchRow), ...jobs.data.filter((job) => !job.status.match(/done|failed|cancelled/)).map(jobRow)];
  const act = document.activeElement?.dataset?.act;
  const head = ["batch", "endpoint", "state", "progress", "model", ""].map((name) => make("th", { scope: "col" }, name && word(name)));
  const table = make("table", {}, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...rows));
  section.replaceChildren(
    make("div", { class: "row" }, paused === null ? "" : pauseButton(), why ? make("span", { class: "dim" }, `${word("waits")}: ${why}`) : ""),
    rows.length ? table : make("p", { class: "dim" }, word("noBatches")));
  if (act) section.querySelector(`[data-act="${CSS.escape(act)}"]`)?.focus();
}

const pauseButton = () => make("button", { type: "button", "data-act": "pause", onclick: () => order(`/api/gpu/${paused ? "resume" : "pause"}`) }, word(paused ? "resume" : "pause"));

function batchRow(batch) {
  const { total, completed, failed } = batch.request_counts;
  const left = ENDED.includes(batch.status) ? 0 : remaining(batch.in_progress_at, completed + failed, total);
  const cancel = ENDED.includes(batch.status) ? null : () => order(`/v1/batches/${encodeURIComponent(batch.id)}/cancel`);
  return row(batch.id, batch.endpoint, batch.status, [completed + failed, total, failed, left], batch.model ?? "", cancel);
}

function jobRow(job) {
  const counts = [job.pages_done, job.pages_total ?? 0, job.pages_failed, job.eta_seconds];
  return row(job.id, "/v1/ocr/jobs", job.status, counts, "", () => order(`/v1/ocr/jobs/${encodeURIComponent(job.id)}`, remove));
}

// At the mean pace so far.
const remaining = (begun, done, total) => begun && done ? (Date.now() / 1000 - begun) / done * (total - done) : 0;

function row(id, endpoint, state, [done, total, failed, left], model, cancel) {
  const bar = make("progress", { max: Math.max(1, total), value: done, "aria-label": id });
  const counts = `${done} / ${total || "?"}${failed ? `, ${failed} ${word("failed")}` : ""}${left > 0 ? `, ${duration(left)}` : ""}`;
  const end = cancel ? make("button", { type: "button", "data-act": id, onclick: cancel }, word("cancel")) : "";
  return make("tr", {}, make("td", {}, id), make("td", {}, endpoint), make("td", {}, state), make("td", {}, bar, counts), make("td", {}, model), make("td", {}, end));
}

const duration = (seconds) => seconds < 90 ? `${Math.ceil(seconds)} s` : seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;

async function order(path, ask = (where) => post(where, {})) {
  try {
    await ask(path);
    if (path.endsWith("pause")) paused = true;
    if (path.endsWith("resume")) paused = false;
  } catch (error) {
    notice(error.message, true);
  }
  await show();
}
