// Requests to the service. The key lives in session storage and in one header; never in a URL.
const KEY = "stoker-key";
let askForKey = () => {};

export const onKeyAsked = (handler) => { askForKey = handler; };
export const setKey = (key) => sessionStorage.setItem(KEY, key);

export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function ask(path, options = {}) {
  const key = sessionStorage.getItem(KEY);
  const headers = { ...options.headers, ...(key ? { Authorization: `Bearer ${key}` } : {}) };
  const response = await fetch(path, { ...options, headers, credentials: "omit", redirect: "error" });
  if (response.ok) return response;
  if (response.status === 401) askForKey(key !== null);
  let message = `${response.status} ${response.statusText}`;
  try {
    const { error } = await response.json();
    message = error.message ?? error; // Ollama's errors are plain texts
  } catch { /* an answer without a reason in it */ }
  throw new ApiError(response.status, message);
}

export const get = async (path) => (await ask(path)).json();
export const blob = async (path) => (await ask(path)).blob();
export const raw = ask;

export async function post(path, body, signal) {
  const form = body instanceof FormData;
  const headers = form ? {} : { "Content-Type": "application/json" };
  return ask(path, { method: "POST", headers, body: form ? body : JSON.stringify(body), signal });
}

export async function remove(path, body) {
  const json = body ? { headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) } : {};
  return ask(path, { method: "DELETE", ...json });
}

// The lines of an answer as they come; `line(text)` for each.
export async function lines(response, line) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    text += value;
    const whole = text.split("\n");
    text = whole.pop();
    whole.forEach(line);
  }
}

// Server-sent events: `event(object, name)` for each, `silence(text)` for each comment.
export async function events(response, event, silence = () => {}) {
  let name = "message";
  await lines(response, (line) => {
    if (line.startsWith(":")) silence(line.slice(1).trim());
    else if (line.startsWith("event: ")) name = line.slice(7);
    else if (line.startsWith("data: ") && line !== "data: [DONE]") event(JSON.parse(line.slice(6)), name);
    else if (!line) name = "message";
  });
}

export const stream = async (path, body, signal, event, silence) => events(await post(path, body, signal), event, silence);
export const watch = async (path, signal, event) => events(await ask(path, { signal }), event);
