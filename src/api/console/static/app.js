// The page: which view is shown, the key, the language.
import { get, onKeyAsked, setKey } from "./api.js";
import * as api from "./api_view.js";
import * as background from "./background.js";
import * as chat from "./chat.js";
import * as documents from "./documents.js";
import * as logs from "./logs.js";
import * as machine from "./machine.js";
import * as models from "./models.js";
import * as settings from "./settings.js";
import { other, switchLanguage, translate, word } from "./words.js";

const VIEWS = { chat, documents, machine, models, background, logs, settings, api };
const notice = document.getElementById("notice");
const form = document.getElementById("key-form");
const language = document.getElementById("language");
let current = null;

function say(text, bad = false) {
  notice.textContent = text;
  notice.hidden = !text;
  notice.classList.toggle("bad", bad);
}

// What only an admin may see is not offered to others.
async function offer() {
  const status = await get("/v1/system/status").catch(() => null);
  const admin = status?.children?.some((child) => "pid" in child) ?? false;
  for (const button of document.querySelectorAll("nav [data-admin]")) button.hidden = !admin;
}

async function show(place) {
  const [name, detail] = place.split(/\/(.*)/s); // `api/GET /v1/models`
  VIEWS[current]?.leave?.();
  current = name;
  for (const view of Object.keys(VIEWS)) document.getElementById(view).hidden = view !== name;
  for (const button of document.querySelectorAll("nav button")) {
    if (button.dataset.view === name) button.setAttribute("aria-current", "page");
    else button.removeAttribute("aria-current");
  }
  history.replaceState(null, "", `#${place}`);
  try {
    await VIEWS[name].enter(detail && decodeURIComponent(detail));
    await offer();
  } catch (error) {
    if (error.status !== 401) say(error.status ? error.message : word("gone"), true);
  }
}

onKeyAsked((refused) => {
  form.hidden = false;
  if (refused) say(word("keyWrong"), true);
});

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const field = document.getElementById("key");
  setKey(field.value);
  field.value = "";
  form.hidden = true;
  say("");
  show(current);
});

function build() {
  translate();
  language.textContent = other();
  for (const [name, view] of Object.entries(VIEWS)) view.build(document.getElementById(name), say);
}

language.addEventListener("click", () => {
  switchLanguage();
  build();
  show(current);
});
for (const button of document.querySelectorAll("nav button")) button.addEventListener("click", () => show(button.dataset.view));

build();
const asked = location.hash.slice(1);
show(asked.split("/")[0] in VIEWS ? asked : "chat");
