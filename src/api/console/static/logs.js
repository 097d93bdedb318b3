// The logs view, for admins: the newest lines of a file, by level and request.
import { get } from "./api.js";
import { make } from "./dom.js";
import { word } from "./words.js";

const EVERY_MS = 3000;
const FILES = ["app", "errors", "api", "model", "system"];
const LEVELS = ["DEBUG", "INFO", "WARNING", "ERROR"];
let file, level, request, list, notice, timer = null;

export function build(root, say) {
  notice = say;
  const choice = (name, options) => make("select", { "aria-label": word(name), onchange: again }, ...options.map((one) => make("option", { value: one }, one)));
  file = choice("file", FILES);
  level = choice("level", LEVELS);
  level.value = "INFO";
  request = make("input", { type: "search", placeholder: word("request"), "aria-label": word("request"), oninput: again });
  list = make("pre", { class: "log", tabindex: 0 });
  root.replaceChildren(make("div", { class: "row" }, file, level, request), list);
}

export async function enter() {
  await show();
  timer ??= setInterval(() => { if (!document.hidden) again(); }, EVERY_MS);
}

export function leave() {
  clearInterval(timer);
  timer = null;
}

const again = () => show().catch((error) => notice(error.message, true));

async function show() {
  const asked = new URLSearchParams({ file: file.value, level: level.value, limit: 200 });
  if (request.value.trim()) asked.set("request_id", request.value.trim());
  const { lines } = await get(`/v1/system/logs?${asked}`);
  const atEnd = list.scrollTop + list.clientHeight >= list.scrollHeight - 40;
  list.replaceChildren(...lines.map(line));
  if (atEnd) list.scrollTop = list.scrollHeight;
}

function line(one) {
  const id = one.request_id ? ` [${one.request_id}]` : "";
  const bad = ["WARNING", "ERROR", "CRITICAL"].includes(one.level);
  return make("div", { class: bad ? "bad" : "" }, `${one.ts.slice(0, 19).replace("T", " ")} ${one.level} ${one.process}${id} ${one.message}${one.traceback ? `\n${one.traceback}` : ""}`);
}
