// The service's status once a second, one stream for all views; it is open while a view that shows it is.
import { watch } from "./api.js";

const AGAIN_MS = 3000;
const watchers = new Set();
let running = null;

// `told(status, firstToken)`; firstToken is null for a user's key. Returns what ends it.
export function follow(told) {
  watchers.add(told);
  if (!running) open();
  return () => {
    watchers.delete(told);
    if (!watchers.size) close();
  };
}

function close() {
  running?.abort();
  running = null;
}

async function open() {
  const mine = running = new AbortController();
  while (running === mine) {
    try {
      await watch("/v1/system/events", mine.signal, (data, name) => {
        if (name === "message") for (const told of watchers) told(data.status ?? data, data.first_token ?? null);
      });
    } catch (error) {
      if (error.status === 401 && running === mine) running = null; // the key form shows the view again
    }
    if (running === mine) await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
  }
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) close();
  else if (watchers.size && !running) open();
});
