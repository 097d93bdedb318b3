// The models view: where each model stands, and orders to load, offload and unload it.
import { get, post } from "./api.js";
import { make } from "./dom.js";
import { size } from "./machine.js";
import { word } from "./words.js";

const EVERY_MS = 2000;
let section, notice, timer = null;

export function build(root, say) {
  [section, notice] = [root, say];
}

export async function enter() {
  await show();
  timer ??= setInterval(() => { if (!document.hidden) show().catch((error) => notice(error.message, true)); }, EVERY_MS);
}

export function leave() {
  clearInterval(timer);
  timer = null;
}

async function show() {
  const { data } = await get("/v1/models");
  const head = ["model", "state", "size", "detail"].map((name) => make("th", { scope: "col" }, word(name)));
  const focused = document.activeElement?.dataset?.act;
  section.replaceChildren(make("table", {}, make("thead", {}, make("tr", {}, ...head, make("th"))), make("tbody", {}, ...data.map(row))));
  if (focused) section.querySelector(`[data-act="${CSS.escape(focused)}"]`)?.focus();
}

function row(model) {
  const order = (name, path) => make("button", { type: "button", "data-act": `${name} ${model.id}`, onclick: () => send(path, model.id) }, word(name));
  const progress = model.progress?.total_bytes ? make("progress", { max: model.progress.total_bytes, value: model.progress.done_bytes, "aria-label": word("load") }) : "";
  return make("tr", {},
    make("td", {}, model.id), make("td", {}, model.state ?? "–", progress), make("td", {}, model.size_bytes ? size(model.size_bytes) : "–"),
    make("td", {}, model.detail ?? ""),
    make("td", {}, make("div", { class: "row" }, order("load", "/v1/models/load"), order("offload", "/api/gpu/offload"), order("unload", "/v1/models/unload"))));
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
