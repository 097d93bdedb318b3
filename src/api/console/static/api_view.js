// The API view: any route of /openapi.json, asked from here. `/docs` links to it with a route's name.
import { get, raw } from "./api.js";
import { make } from "./dom.js";
import { word } from "./words.js";

const MOST_SHOWN = 200_000;
let routes = null, schemas = {}, route, path, body, answer, running = null;

export function build(root) {
  route = make("select", { "aria-label": word("route"), onchange: choose });
  path = make("input", { class: "grow", "aria-label": word("path") });
  body = make("textarea", { rows: 8, "aria-label": word("body"), spellcheck: "false" });
  answer = make("pre", { class: "log", tabindex: 0, role: "status" });
  root.replaceChildren(make("div", { class: "row" }, route, path, make("button", { type: "button", class: "main", onclick: () => (running ? running.abort() : send()) }, word("try"))), body, answer);
  routes = null;
}

export async function enter(named) {
  if (!routes) await load();
  if (named && routes.has(named)) {
    route.value = named;
    choose();
  }
}

async function load() {
  const document = await get("/openapi.json");
  schemas = document.components.schemas;
  routes = new Map(Object.entries(document.paths).flatMap(([address, methods]) => Object.entries(methods).map(([method, operation]) => [`${method.toUpperCase()} ${address}`, operation])));
  route.replaceChildren(...[...routes.keys()].map((name) => make("option", { value: name }, name)));
  choose();
}

function choose() {
  const [, address] = route.value.split(" ");
  const schema = routes.get(route.value).requestBody?.content?.["application/json"]?.schema;
  path.value = address;
  body.hidden = !schema;
  body.value = schema ? JSON.stringify(example(schemas[schema.$ref.split("/").at(-1)]), null, 2) : "";
  answer.textContent = "";
}

const KNOWN = { model: "demo", messages: [{ role: "user", content: "Hello!" }], max_tokens: 64, input: "Hello!", prompt: "Hello!" };

// The fields that are needed, and those that everybody sends.
function example(schema) {
  const named = Object.keys(schema?.properties ?? {});
  const refused = named.includes("messages") ? ["prompt", "input"] : []; // it names them to say: send messages
  const wanted = new Set([...(schema?.required ?? []), ...named.filter((name) => name in KNOWN && !refused.includes(name))]);
  return Object.fromEntries([...wanted].map((name) => [name, KNOWN[name] ?? schema.properties[name].default ?? ""]));
}

async function send() {
  if (!route.value) return; // not loaded yet
  const [method] = route.value.split(" ");
  const began = performance.now();
  running = new AbortController();
  answer.textContent = word("reading");
  try {
    const json = body.hidden ? {} : { headers: { "Content-Type": "application/json" }, body: body.value };
    const response = await raw(path.value, { method, ...json, signal: running.signal });
    await show(response, began);
  } catch (error) {
    answer.textContent = error.name === "AbortError" ? word("stopped") : `${error.status ?? ""} ${error.message}`;
  } finally {
    running = null;
  }
}

async function show(response, began) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  answer.textContent = "";
  for (let size = 0; size < MOST_SHOWN;) {
    const { value, done } = await reader.read();
    if (done) break;
    size += value.length;
    answer.append(value);
  }
  await reader.cancel();
  if (/json/.test(response.headers.get("Content-Type") ?? "")) answer.textContent = pretty(answer.textContent);
  answer.prepend(`${response.status}, ${Math.round(performance.now() - began)} ms\n`);
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text; // several lines of JSON
  }
}
