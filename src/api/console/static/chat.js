// The chat view: one conversation, streamed; all conversations stay in this browser.
import { get, stream } from "./api.js";
import { make, save } from "./dom.js";
import { render } from "./markdown.js";
import * as store from "./store.js";
import { word } from "./words.js";

const MAX_FILE = 30e6;
let section, notice, log, input, picker, system, temperature, limit, sendButton, attachments, history;
let conversation = begin();
let files = [];
let running = null;

function begin() {
  return { id: crypto.randomUUID(), title: "", changed: Date.now(), turns: [] };
}

export function build(root, say) {
  [section, notice] = [root, say];
  picker = make("select", { "aria-label": word("model") });
  system = make("textarea", { rows: 2, id: "system" });
  temperature = make("input", { type: "number", min: 0, max: 2, step: 0.1, id: "temperature" });
  limit = make("input", { type: "number", min: 1, id: "limit" });
  log = make("div", { role: "log", "aria-live": "polite" });
  input = make("textarea", { rows: 3, "aria-label": word("message"), onkeydown: onKey, onpaste: onPaste });
  attachments = make("span", { class: "dim" });
  sendButton = make("button", { type: "button", class: "main", onclick: () => (running ? running.abort() : submit()) }, word("send"));
  history = make("select", { "aria-label": word("history"), onchange: choose });
  const chooser = make("input", { type: "file", accept: "image/*,application/pdf", multiple: true, "aria-label": word("attach"), onchange: () => take(chooser.files) });
  section.replaceChildren(
    make("div", { class: "row" }, picker, history,
      button("fresh", () => open(begin())), button("remove", drop), button("exportJson", exportJson), button("exportMarkdown", exportMarkdown)),
    make("details", {}, make("summary", {}, word("system")), system,
      make("div", { class: "row" }, make("label", { for: "temperature" }, word("temperature")), temperature, make("label", { for: "limit" }, word("limit")), limit)),
    log, input, make("div", { class: "row" }, sendButton, chooser, attachments));
  section.addEventListener("dragover", (event) => event.preventDefault());
  section.addEventListener("drop", (event) => { event.preventDefault(); take(event.dataTransfer.files); });
  show();
}

const button = (name, act) => make("button", { type: "button", onclick: act }, word(name));

export async function enter() {
  const chosen = picker.value;
  const { data } = await get("/v1/models");
  picker.replaceChildren(...data.map((model) => make("option", { value: model.id }, model.state ? `${model.id} (${model.state})` : model.id)));
  if (data.some((model) => model.id === chosen)) picker.value = chosen;
  await listHistory();
}

async function listHistory() {
  const kept = await store.list();
  history.replaceChildren(make("option", { value: "" }, word("history")), ...kept.map((one) => make("option", { value: one.id }, one.title || "…")));
}

async function choose() {
  const kept = (await store.list()).find((one) => one.id === history.value);
  if (kept) open(kept);
}

function open(next) {
  running?.abort();
  conversation = next;
  show();
}

async function drop() {
  await store.remove(conversation.id);
  open(begin());
  await listHistory();
}

const exportJson = () => save("conversation.json", JSON.stringify(conversation.turns, null, 2), "application/json");
const exportMarkdown = () => save("conversation.md", conversation.turns.map((turn) => `## ${turn.role}\n\n${turn.text}\n`).join("\n"), "text/markdown");

function onKey(event) {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  if (!running) submit();
}

function onPaste(event) {
  if (event.clipboardData.files.length) take(event.clipboardData.files);
}

async function take(chosen) {
  for (const file of chosen) {
    if (file.size > MAX_FILE) { notice(`${file.name}: > 30 MB`, true); continue; }
    const url = await new Promise((resolve) => {
      const reader = new FileReader();
      reader.onload = () => resolve(reader.result);
      reader.readAsDataURL(file);
    });
    files.push({ name: file.name, type: file.type, url });
  }
  attachments.textContent = files.map((file) => file.name).join(", ");
}

function submit() {
  const text = input.value.trim();
  if (!text && !files.length) return;
  conversation.turns.push({ role: "user", text, files });
  conversation.title ||= text.slice(0, 60);
  input.value = attachments.textContent = "";
  files = [];
  answer();
}

const part = (file) => (file.type.startsWith("image/")
  ? { type: "image_url", image_url: { url: file.url } }
  : { type: "file", file: { filename: file.name, file_data: file.url } });

function messages() {
  const turns = conversation.turns.map((turn) => ({
    role: turn.role,
    content: turn.files?.length ? [...turn.files.map(part), { type: "text", text: turn.text }] : turn.text,
  }));
  return system.value.trim() ? [{ role: "system", content: system.value }, ...turns] : turns;
}

async function answer() {
  const body = { model: picker.value, messages: messages(), stream: true, stream_options: { include_usage: true } };
  if (temperature.value) body.temperature = Number(temperature.value);
  if (limit.value) body.max_tokens = Number(limit.value);
  const turn = { role: "assistant", text: "", reasoning: "", calls: [] };
  conversation.turns.push(turn);
  show();
  const element = log.lastElementChild;
  element.classList.add("growing");
  const began = performance.now();
  let first = null;
  running = new AbortController();
  sendButton.textContent = word("stop");
  try {
    await stream("/v1/chat/completions", body, running.signal, (event) => {
      if (event.error) throw new Error(event.error.message);
      first ??= performance.now();
      notice("");
      grow(turn, event, began, first);
      fill(element, turn);
    }, (comment) => { if (/restart|resum/i.test(comment)) notice(word("restarting")); });
  } catch (error) {
    turn.error = error.name === "AbortError" ? word("stopped") : error.message;
  } finally {
    running = null;
    sendButton.textContent = word("send");
    conversation.changed = Date.now();
    await store.keep(structuredClone(conversation));
    show();
  }
}

function grow(turn, event, began, first) {
  const delta = event.choices?.[0]?.delta ?? {};
  turn.text += delta.content ?? "";
  turn.reasoning += delta.reasoning_content ?? "";
  for (const call of delta.tool_calls ?? []) {
    const known = (turn.calls[call.index] ??= { name: "", arguments: "" });
    known.name += call.function?.name ?? "";
    known.arguments += call.function?.arguments ?? "";
  }
  if (event.usage) {
    const seconds = (performance.now() - first) / 1000;
    const tokens = event.usage.completion_tokens;
    turn.figures = { first: ((first - began) / 1000).toFixed(2), rate: (tokens / Math.max(seconds, 0.001)).toFixed(1), tokens };
  }
}

function fill(element, turn) {
  element.replaceChildren(
    turn.reasoning ? make("details", {}, make("summary", {}, word("thinking")), make("p", {}, turn.reasoning)) : "",
    ...(turn.files ?? []).map((file) => (file.type.startsWith("image/") ? make("img", { src: file.url, alt: file.name }) : make("p", { class: "dim" }, file.name))),
    ...(turn.role === "assistant" ? render(turn.text) : [make("p", {}, turn.text)]),
    ...turn.calls?.map((call) => make("pre", {}, `${word("call")}: ${call.name}(${call.arguments})`)) ?? [],
    turn.error ? make("p", { class: "bad" }, turn.error) : "",
    turn.figures ? make("p", { class: "dim" }, word("figures", turn.figures)) : "");
}

function show() {
  log.replaceChildren(...conversation.turns.map((turn, at) => {
    const element = make("article", { class: `turn ${turn.role}` });
    fill(element, turn);
    element.append(tools(turn, at));
    return element;
  }));
  log.lastElementChild?.scrollIntoView({ block: "end" });
}

function tools(turn, at) {
  const row = make("div", { class: "row" }, button("copy", () => navigator.clipboard?.writeText(turn.text)));
  if (turn.role === "user") row.append(button("edit", () => { input.value = turn.text; files = turn.files ?? []; cut(at); input.focus(); }));
  else row.append(button("again", () => { cut(at); answer(); }));
  return row;
}

function cut(at) {
  running?.abort();
  conversation.turns.length = at;
  show();
}
