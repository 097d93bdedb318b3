// Requests to the service. The key lives in session storage and in one header; never in a URL.
const KEY = "stoker-key";
let askForKey = () => {};

export const onKeyAsked = (handler) => { askForKey = handler; };
export const setKey = (key) => sessionStorage.setItem(KEY, key);
export const hasKey = () => sessionStorage.getItem(KEY) !== null;

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
    message = (await response.json()).error.message;
  } catch { /* an answer without a reason in it */ }
  throw new ApiError(response.status, message);
}

export const get = async (path) => (await ask(path)).json();

export async function post(path, body, signal) {
  const form = body instanceof FormData;
  const headers = form ? {} : { "Content-Type": "application/json" };
  return ask(path, { method: "POST", headers, body: form ? body : JSON.stringify(body), signal });
}

// Server-sent events of an answer: `event(object)` for each, `silence(text)` for each comment.
export async function stream(path, body, signal, event, silence) {
  const reader = (await post(path, body, signal)).body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    text += value;
    const lines = text.split("\n");
    text = lines.pop();
    for (const line of lines) {
      if (line.startsWith(":")) silence(line.slice(1).trim());
      else if (line.startsWith("data: ") && line !== "data: [DONE]") event(JSON.parse(line.slice(6)));
    }
  }
}
