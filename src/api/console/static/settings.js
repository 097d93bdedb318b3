// The settings view, for admins: what the service runs with, and where each value comes from. Read-only.
import { get } from "./api.js";
import { make } from "./dom.js";
import { word } from "./words.js";

let filter, changed, body, rows = [];

export function build(root) {
  filter = make("input", { type: "search", placeholder: word("filter"), "aria-label": word("filter"), oninput: show });
  changed = make("input", { type: "checkbox", id: "changed", onchange: show });
  body = make("tbody");
  const head = ["setting", "value", "source", "help"].map((name) => make("th", { scope: "col" }, word(name)));
  root.replaceChildren(make("div", { class: "row" }, filter, changed, make("label", { for: "changed" }, word("changed"))),
    make("table", {}, make("thead", {}, make("tr", {}, ...head)), body));
}

export async function enter() {
  rows = (await get("/v1/system/settings")).settings;
  show();
}

function show() {
  const wanted = filter.value.trim().toLowerCase();
  const found = rows.filter((row) => (!changed.checked || row.source !== "default") && `${row.name} ${row.help}`.toLowerCase().includes(wanted));
  body.replaceChildren(...found.map((row) => make("tr", {},
    make("td", {}, make("code", {}, row.name)), make("td", {}, row.value), make("td", {}, row.source), make("td", { class: "dim" }, row.help))));
}
