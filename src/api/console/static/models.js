// The models view: where each model stands, orders to load, offload, unload and delete it, and one that is fetched.
import { get, lines, post, remove } from "./api.js";
import { make } from "./dom.js";
import { size } from "./machine.js";
import { word } from "./words.js";

const EVERY_MS = 2000;
let table, told, name, button, notice, timer = null, pulling = null;

export function build(root, say) {
  notice = say;
  table = make("div");
  name = make("input", { class: "grow", placeholder: word("pullName"), "aria-label": word("pullName"), required: true });
  button = make("button", { type: "submit" }, word(pulling ? "cancel" : "pull"));
  told = make("p", { class: "dim", role: "status" });
  root.replaceChildren(table, make("form", { class: "row", onsubmit: pull }, name, button), told);
}

export async function enter() {
  await show();
  timer ??= setInterval(() => { if (!document.hidden) show().catch((error) => notice(error.message, true)); }, EVERY_MS);
}

export function leave() {
  clearInterval(timer);
  timer = null;
}

// One at a time; it ends when this page is closed, and goes on where it was when asked again.
async function pull(event) {
  event.preventDefault();
  if (pulling) { pulling.abort(); return; }
  pulling = new AbortController();
  button.textContent = word("cancel");
  try {
    await lines(await post("/api/pull", { model: name.value.trim() }, pulling.signal), (line) => {
      if (!line.trim()) return;
      const { status, error } = JSON.parse(line);
      told.textContent = error ?? status;
      told.classList.toggle("bad", Boolean(error));
    });
  } catch (error) {
    told.textContent = error.name === "AbortError" ? word("stopped") : error.message;
  } finally {
    pulling = null;
    button.textContent = word("pull");
    await show();
  }
}

async function show() {
  const { data } = await get("/v1/models");
  const head = ["model", "state", "size", "detail"].map((name) => make("th", { scope: "col" }, word(name)));
  const focused = document.activeElement?.dataset?.act;
  table.replaceChildren(make("table", {}, make("thead", {}, make("tr", {}, ...head, make("th"))), make("tbody", {}, ...data.map(row))));
  if (focused) table.querySelector(`[data-act="${CSS.escape(focused)}"]`)?.focus();
}

function row(model) {
  const order = (name, path) => make("button", { type: "button", "data-act": `${name} ${model.id}`, onclick: () => send(path, model.id) }, word(name));
  const progress = model.progress?.total_bytes ? make("progress", { max: model.progress.total_bytes, value: model.progress.done_bytes, "aria-label": word("load") }) : "";
  return make("tr", {},
    make("td", {}, model.id), make("td", {}, model.state ?? "–", progress), make("td", {}, model.size_bytes ? size(model.size_bytes) : "–"),
    make("td", {}, model.detail ?? ""),
    make("td", {}, make("div", { class: "row" }, order("load", "/v1/models/load"), order("offload", "/api/gpu/offload"), order("unload", "/v1/models/unload"),
      make("button", { type: "button", "data-act": `delete ${model.id}`, onclick: () => discard(model.id) }, word("remove")))));
}

async function send(path, name) {
  try {
    await post(path, { model_name: name });
    notice("");
  } catch (error) {
    notice(`${name}: ${error.message}`, true);
  }
  await show();
}

async function discard(id) {
  if (!confirm(word("sure", { name: id }))) return;
  try {
    await remove("/api/delete", { model: id });
    notice("");
  } catch (error) {
    notice(`${id}: ${error.message}`, true);
  }
  await show();
}
