// Markdown as elements. The text is a model's: nothing of it becomes markup, and links go to http(s) alone.
import { make } from "./dom.js";

const SPAN = /(`[^`\n]+`)|\*\*([^*\n]+)\*\*|\*([^*\n]+)\*|\[([^\]\n]+)\]\(([^)\s]+)\)/g;

function spans(text) {
  const found = [];
  let at = 0;
  for (const match of text.matchAll(SPAN)) {
    found.push(text.slice(at, match.index));
    at = match.index + match[0].length;
    if (match[1]) found.push(make("code", {}, match[1].slice(1, -1)));
    else if (match[2]) found.push(make("strong", {}, match[2]));
    else if (match[3]) found.push(make("em", {}, match[3]));
    else found.push(link(match[4], match[5], match[0]));
  }
  found.push(text.slice(at));
  return found;
}

function link(label, address, whole) {
  return /^https?:\/\//i.test(address) ? make("a", { href: address, rel: "noopener noreferrer", target: "_blank" }, label) : whole;
}

const cells = (line) => line.trim().replace(/^\||\|$/g, "").split("|").map((cell) => cell.trim());
const isRule = (line) => line !== undefined && /^\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*$/.test(line) && line.includes("-");

function table(lines, at) {
  const head = make("tr", {}, ...cells(lines[at]).map((cell) => make("th", { scope: "col" }, ...spans(cell))));
  const body = [];
  for (at += 2; at < lines.length && lines[at].includes("|"); at += 1) {
    body.push(make("tr", {}, ...cells(lines[at]).map((cell) => make("td", {}, ...spans(cell)))));
  }
  return [make("table", {}, make("thead", {}, head), make("tbody", {}, ...body)), at];
}

function list(lines, at, pattern, tag) {
  const items = [];
  for (; at < lines.length && pattern.test(lines[at]); at += 1) items.push(make("li", {}, ...spans(lines[at].replace(pattern, ""))));
  return [make(tag, {}, ...items), at];
}

function fence(lines, at) {
  const end = lines.findIndex((line, n) => n > at && line.trimStart().startsWith("```"));
  const last = end < 0 ? lines.length : end;
  return [make("pre", {}, make("code", {}, lines.slice(at + 1, last).join("\n"))), last + 1];
}

const BULLET = /^\s*[-*+]\s+/;
const NUMBER = /^\s*\d+[.)]\s+/;

export function render(text) {
  const lines = text.split("\n");
  const blocks = [];
  let at = 0;
  while (at < lines.length) {
    const line = lines[at];
    const heading = /^(#{1,6})\s+(.*)$/.exec(line);
    let block;
    if (line.trimStart().startsWith("```")) [block, at] = fence(lines, at);
    else if (heading) [block, at] = [make(heading[1].length < 3 ? "h3" : "h4", {}, ...spans(heading[2])), at + 1];
    else if (line.includes("|") && isRule(lines[at + 1])) [block, at] = table(lines, at);
    else if (BULLET.test(line)) [block, at] = list(lines, at, BULLET, "ul");
    else if (NUMBER.test(line)) [block, at] = list(lines, at, NUMBER, "ol");
    else if (!line.trim()) [block, at] = [null, at + 1];
    else [block, at] = paragraph(lines, at);
    if (block) blocks.push(block);
  }
  return blocks;
}

function paragraph(lines, at) {
  const parts = [];
  const begins = (line) => !line.trim() || /^(#{1,6}\s|```)/.test(line.trimStart()) || BULLET.test(line) || NUMBER.test(line);
  do {
    if (parts.length) parts.push(make("br"));
    parts.push(...spans(lines[at]));
    at += 1;
  } while (at < lines.length && !begins(lines[at]) && !isRule(lines[at + 1]));
  return [make("p", {}, ...parts), at];
}
