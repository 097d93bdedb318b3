// The documents view: pictures are read at once, documents as jobs that go on when the page is closed. The server lists
// a key's jobs, whichever browser began them.
import { blob, get, post, remove, watch } from "./api.js";
import { draw, make, saveBlob } from "./dom.js";
import { render } from "./markdown.js";
import { word } from "./words.js";

const UNSURE = 0.8;
const JOBS = "stoker-jobs"; // names and ids of this browser's jobs
const MOST_JOBS = 50;
const FORMATS = { markdown: "md", text: "txt", json: "json", html: "html", hocr: "hocr", alto: "xml", pdf: "pdf" };
let results, notice;
const shown = new Set();

export function build(section, say) {
  notice = say;
  shown.clear();
  const chooser = make("input", { type: "file", accept: "image/*,application/pdf,.zip", multiple: true, "aria-label": word("drop"), onchange: () => readAll(chooser.files) });
  const target = make("div", { class: "drop" }, make("p", {}, word("drop")), chooser);
  target.addEventListener("dragover", (event) => { event.preventDefault(); target.classList.add("over"); });
  target.addEventListener("dragleave", () => target.classList.remove("over"));
  target.addEventListener("drop", async (event) => {
    event.preventDefault();
    target.classList.remove("over");
    readAll(await within(event.dataTransfer));
  });
  results = make("div", { "aria-live": "polite" });
  section.replaceChildren(target, results);
}

// This browser knows the names of its jobs; those begun elsewhere are shown by their ids.
export async function enter() {
  for (const job of remembered()) if (!shown.has(job.id)) follow(job, place(job.name));
  const { data } = await get(`/v1/ocr/jobs?limit=${MOST_JOBS}`);
  for (const { id, status } of data.reverse()) if (!shown.has(id)) elsewhere({ id, name: id }, status);
}

// What has ended is fetched when it is asked for.
function elsewhere(job, status) {
  const element = place(job.name);
  if (["queued", "running"].includes(status)) return follow(job, element);
  shown.add(job.id);
  element.replaceChildren(make("h2", {}, job.name), make("p", { class: "dim" }, status),
    make("button", { type: "button", onclick: () => follow(job, element) }, word("show")));
}

export const remembered = () => JSON.parse(localStorage.getItem(JOBS) ?? "[]");
const keep = (jobs) => localStorage.setItem(JOBS, JSON.stringify(jobs.slice(-MOST_JOBS)));
const forget = (id) => keep(remembered().filter((job) => job.id !== id));

// The files that were dropped, those of folders too.
async function within(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.some((entry) => entry.isDirectory)) return transfer.files;
  const found = [];
  while (entries.length) {
    const entry = entries.shift();
    if (entry.isFile) found.push(await new Promise((done, failed) => entry.file(done, failed)));
    else entries.push(...await children(entry.createReader()));
  }
  return found;
}

async function children(reader) {
  const all = [];
  for (;;) { // a reader gives a hundred at a time
    const some = await new Promise((done, failed) => reader.readEntries(done, failed));
    if (!some.length) return all;
    all.push(...some);
  }
}

function place(name) {
  const element = make("article", {}, make("h2", {}, name), make("p", {}, word("reading")), make("progress"));
  results.prepend(element);
  return element;
}

async function readAll(files) {
  for (const file of files) {
    const element = place(file.name);
    try {
      await (file.type.startsWith("image/") && file.type !== "image/tiff" ? readNow(file, element) : begin(file, element));
    } catch (error) {
      failed(element, file.name, error);
    }
  }
}

function failed(element, name, error) {
  element.replaceChildren(make("h2", {}, name), make("p", { class: "bad" }, error.message));
  if (error.status !== 401) notice(error.message, true);
}

function form(file, fields = {}) {
  const data = new FormData();
  for (const [name, value] of Object.entries(fields)) data.append(name, value);
  data.append("file", file);
  return data;
}

async function readNow(file, element) {
  const answer = await (await post("/v1/ocr", form(file))).json();
  const json = new Blob([JSON.stringify(answer, null, 2)], { type: "application/json" });
  const markdown = new Blob([answer.pages.map((page) => page.markdown ?? "").join("\n\n")], { type: "text/markdown" });
  element.replaceChildren(make("h2", {}, file.name),
    make("div", { class: "row" }, download(`${file.name}.md`, "markdown", async () => markdown), download(`${file.name}.json`, "json", async () => json)),
    ...answer.pages.map((page) => sheet(page, answer.pages.length === 1 ? URL.createObjectURL(file) : null)));
}

async function begin(file, element) {
  const job = await (await post("/v1/ocr/jobs", form(file, { draw_boxes: "true", format: "pdf" }))).json();
  keep([...remembered(), { id: job.id, name: file.name }]);
  follow({ id: job.id, name: file.name }, element); // the next file need not wait for it
}

// A job's progress until it ends; the connection is made again when it breaks.
async function follow(job, element) {
  shown.add(job.id);
  const address = `/v1/ocr/jobs/${encodeURIComponent(job.id)}`;
  const bar = make("progress", { "aria-label": job.name });
  const told = make("p", { class: "dim" });
  element.replaceChildren(make("h2", {}, job.name), bar, told, make("div", { class: "row" },
    make("button", { type: "button", onclick: () => remove(address).catch((error) => notice(error.message, true)) }, word("cancel"))));
  let state = { status: "queued" };
  try {
    while (["queued", "running"].includes(state.status)) {
      await watch(`${address}/events`, undefined, (data, name) => {
        if (name !== "job") return;
        state = data;
        progress(bar, told, state);
      }).catch((error) => { if (error.status) throw error; });
      if (["queued", "running"].includes(state.status)) await new Promise((resolve) => setTimeout(resolve, 2000));
    }
    await done(job, address, element, state);
  } catch (error) {
    if (error.status === 404) forget(job.id);
    failed(element, job.name, error);
  }
}

function progress(bar, told, state) {
  if (state.pages_total) Object.assign(bar, { max: state.pages_total, value: state.pages_done });
  const eta = state.eta_seconds ? `, ${Math.ceil(state.eta_seconds)} s` : "";
  told.textContent = `${state.status}: ${state.pages_done ?? 0} / ${state.pages_total ?? "?"}${eta}`;
}

async function done(job, address, element, state) {
  const close = make("button", { type: "button", onclick: () => discard(job, address, element) }, word("remove"));
  const head = make("h2", {}, job.name);
  if (state.status !== "done") {
    element.replaceChildren(head, make("p", { class: "bad" }, state.error?.message ?? state.status), close);
    return;
  }
  const answer = await get(`${address}?draw_boxes=true`);
  const stem = job.name.replace(/\.[^.]*$/, "");
  const formats = Object.entries(FORMATS).map(([name, suffix]) => download(`${stem}.${suffix}`, name, () => blob(`${address}/result?format=${name}`)));
  element.replaceChildren(head, make("div", { class: "row" }, ...formats, close),
    ...answer.result.pages.map((page) => sheet(page, page.overlay_base64 ?? null)));
}

// Its result goes with it: it would be listed again.
async function discard(job, address, element) {
  try {
    await remove(address);
  } catch (error) {
    if (error.status !== 404) return notice(error.message, true);
  }
  forget(job.id);
  element.remove();
}

const download = (file, label, content) => make("button", { type: "button", onclick: () => content().then((data) => saveBlob(file, data), (error) => notice(error.message, true)) }, label);

function sheet(page, address) {
  const lines = page.lines ?? [];
  const found = page.markdown?.trim() ? render(page.markdown) : [make("p", { class: "dim" }, page.error?.message ?? word("noText"))];
  const warnings = (page.warnings ?? []).map((one) => make("p", { class: "bad" }, one.message ?? String(one)));
  const turned = page.rotation ? make("p", { class: "dim" }, `${word("turned")} ${page.rotation}°`) : "";
  const read = make("div", {}, make("h3", {}, `${word("page")} ${(page.index ?? 0) + 1}`), turned, ...warnings, ...found,
    make("details", {}, make("summary", {}, word("text")), make("pre", {}, page.text ?? "")),
    make("details", {}, make("summary", {}, word("json")), make("pre", {}, JSON.stringify(lines, null, 1))));
  return make("div", { class: "page" }, address ? picture(page, address, lines) : "", read);
}

function picture(page, address, lines) {
  const { width, height } = page.dimensions ?? {};
  const boxes = draw("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img", "aria-label": word("text") });
  lines.filter((one) => one.polygon).forEach((line, at) => {
    const unsure = (line.confidence ?? 1) < UNSURE;
    const label = `${at + 1}. ${line.text} — ${word("confidence")} ${line.confidence === null ? "?" : line.confidence.toFixed(2)}`;
    boxes.append(draw("polygon", { points: line.polygon.map((point) => point.join(",")).join(" "), class: unsure ? "unsure" : "sure" }, draw("title", {}, label)));
  });
  return make("div", { class: "sheet" }, make("img", { src: address, alt: `${word("page")} ${(page.index ?? 0) + 1}` }), width ? boxes : "");
}
