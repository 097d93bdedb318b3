// The background view: batches and why work nobody waits for stands still. Jobs of this browser are in the documents view.
import { get, post } from "./api.js";
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
  const { data } = await get("/v1/batches?limit=50");
  const act = document.activeElement?.dataset?.act;
  const head = ["batch", "endpoint", "state", "progress", "model", ""].map((name) => make("th", { scope: "col" }, name && word(name)));
  const table = make("table", {}, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...data.map(row)));
  section.replaceChildren(
    make("div", { class: "row" }, paused === null ? "" : pauseButton(), why ? make("span", { class: "dim" }, `${word("waits")}: ${why}`) : ""),
    data.length ? table : make("p", { class: "dim" }, word("noBatches")));
  if (act) section.querySelector(`[data-act="${CSS.escape(act)}"]`)?.focus();
}

const pauseButton = () => make("button", { type: "button", "data-act": "pause", onclick: () => order(`/api/gpu/${paused ? "resume" : "pause"}`) }, word(paused ? "resume" : "pause"));

function row(batch) {
  const { total, completed, failed } = batch.request_counts;
  const bar = make("progress", { max: Math.max(1, total), value: completed + failed, "aria-label": batch.id });
  const counts = `${completed + failed} / ${total}${failed ? `, ${failed} ${word("failed")}` : ""}`;
  const end = ENDED.includes(batch.status) ? "" : make("button", { type: "button", "data-act": batch.id, onclick: () => order(`/v1/batches/${encodeURIComponent(batch.id)}/cancel`) }, word("cancel"));
  return make("tr", {}, make("td", {}, batch.id), make("td", {}, batch.endpoint), make("td", {}, batch.status), make("td", {}, bar, counts), make("td", {}, batch.model ?? ""), make("td", {}, end));
}

async function order(path) {
  try {
    await post(path, {});
    if (path.endsWith("pause")) paused = true;
    if (path.endsWith("resume")) paused = false;
  } catch (error) {
    notice(error.message, true);
  }
  await show();
}
