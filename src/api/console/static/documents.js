// The documents view: a file's pages with boxes over what was read, and the text in three forms.
import { post } from "./api.js";
import { draw, make, save } from "./dom.js";
import { render } from "./markdown.js";
import { word } from "./words.js";

const UNSURE = 0.8;
let results, notice;

export function build(section, say) {
  notice = say;
  const chooser = make("input", { type: "file", accept: "image/*,application/pdf,.zip", multiple: true, "aria-label": word("drop"), onchange: () => read(chooser.files) });
  const target = make("div", { class: "drop" }, make("p", {}, word("drop")), chooser);
  target.addEventListener("dragover", (event) => { event.preventDefault(); target.classList.add("over"); });
  target.addEventListener("dragleave", () => target.classList.remove("over"));
  target.addEventListener("drop", (event) => { event.preventDefault(); target.classList.remove("over"); read(event.dataTransfer.files); });
  results = make("div", { "aria-live": "polite" });
  section.replaceChildren(target, results);
}

export async function enter() { /* nothing is asked for before a file is chosen */ }

async function read(files) {
  for (const file of files) {
    const place = make("article", {}, make("h2", {}, file.name), make("p", {}, word("reading")), make("progress"));
    results.prepend(place);
    try {
      const form = new FormData();
      form.append("file", file);
      const answer = await (await post("/v1/ocr", form)).json();
      place.replaceChildren(make("h2", {}, file.name), downloads(file.name, answer), ...answer.pages.map((page) => sheet(page, file, answer.pages.length)));
    } catch (error) {
      place.replaceChildren(make("h2", {}, file.name), make("p", { class: "bad" }, error.message));
      notice(error.message, true);
    }
  }
}

const text = (answer) => answer.pages.map((page) => page.markdown ?? "").join("\n\n");

function downloads(name, answer) {
  return make("div", { class: "row" },
    make("button", { type: "button", onclick: () => save(`${name}.md`, text(answer), "text/markdown") }, word("markdown")),
    make("button", { type: "button", onclick: () => save(`${name}.json`, JSON.stringify(answer, null, 2), "application/json") }, word("json")));
}

function sheet(page, file, count) {
  const lines = page.lines ?? [];
  const found = page.markdown?.trim() ? render(page.markdown) : [make("p", { class: "dim" }, page.error?.message ?? word("noText"))];
  const warnings = (page.warnings ?? []).map((one) => make("p", { class: "bad" }, one.message ?? String(one)));
  const read = make("div", {}, make("h3", {}, `${word("page")} ${(page.index ?? 0) + 1}`), ...warnings, ...found,
    make("details", {}, make("summary", {}, word("json")), make("pre", {}, JSON.stringify(lines, null, 1))));
  return make("div", { class: "page" }, count === 1 && file.type.startsWith("image/") ? picture(page, file, lines) : "", read);
}

function picture(page, file, lines) {
  const { width, height } = page.dimensions ?? {};
  const boxes = draw("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img", "aria-label": word("text") });
  for (const line of lines.filter((one) => one.polygon)) {
    const unsure = (line.confidence ?? 1) < UNSURE;
    const label = `${line.text} — ${word("confidence")} ${line.confidence === null ? "?" : line.confidence.toFixed(2)}`;
    boxes.append(draw("polygon", { points: line.polygon.map((point) => point.join(",")).join(" "), class: unsure ? "unsure" : "sure" }, draw("title", {}, label)));
  }
  return make("div", { class: "sheet" }, make("img", { src: URL.createObjectURL(file), alt: file.name }), width ? boxes : "");
}
