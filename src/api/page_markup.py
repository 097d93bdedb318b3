"""Writes a page's blocks as Markdown and HTML. Pure; used by OCR's formats and by what a chat is given of a PDF."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from html import escape

from src.ipc.messages.blocks import OcrBlock, OcrCell
from src.ipc.messages.ocr import OcrResult

BlockWriter = Callable[[OcrBlock], str]

# what would begin a heading or a quote, or underline one
_MARKUP = re.compile(r"^(\s*)(#{1,6}(?=\s|$)|>|=+\s*$|-{2,}\s*$)", re.MULTILINE)
_BULLET = re.compile(r"^(\s*)(?:[•◦▪▫●○■□‣∙·⁃➢❖◆–—*+-])\s+")
_BOX = re.compile(r"^(\s*)(?:([☐]|\[\s?\])|[☑☒✓✔✗]|\[\s?[xX✓✔]\s?\])\s*")  # an empty one, or a ticked one
_NUMBER = re.compile(r"^(\s*)\(?(\d{1,9})[.)]\s+")
_LETTER = re.compile(r"^(\s*)(\(?(?:[a-z]|[ivx]{1,5})[.)])\s+", re.IGNORECASE)


def page_markdown(page: OcrResult) -> str:
    """The recognizer's own Markdown, else that of its blocks, else its text."""
    if page.markdown is not None:
        return page.markdown
    return markdown(page.blocks) if page.blocks else page.text


def running_text(page: OcrResult, kind: str) -> str | None:
    """The page's running heads (`header`) or feet (`footer`); None without any."""
    return "\n".join(block.text for block in page.blocks if block.type == kind) or None


def markdown(
    blocks: Iterable[OcrBlock],
    *,
    table: BlockWriter | None = None,
    figure: BlockWriter | None = None,
    without: Sequence[str] = (),
) -> str:
    """Blocks as Markdown, but those of a type in `without`. `table`, `figure`: what stands for one."""
    writers: dict[str, BlockWriter] = {"table": table or table_markdown, "figure": figure or (lambda _: "")}
    parts = (_block(block, writers) for block in blocks if block.type not in without)
    return "\n\n".join(part for part in parts if part)


def _block(block: OcrBlock, writers: dict[str, BlockWriter]) -> str:
    if block.type in writers:
        return writers[block.type](block)
    if block.type == "heading":
        return f"{'#' * min(max(block.level, 1), 6)} {' '.join(block.text.split())}"
    if block.type == "list":
        return "\n".join(_item(line) for line in block.text.splitlines())
    return _MARKUP.sub(r"\1\\\2", block.text)


def _item(line: str) -> str:
    """A list's item with Markdown's mark, or a task's; letters have none, and stand behind a dash."""
    if box := _BOX.match(line):
        return f"{box[1]}- [{' ' if box[2] else 'x'}] {line[box.end() :]}"
    if _BULLET.match(line):
        return _BULLET.sub(r"\1- ", line)
    if _NUMBER.match(line):
        return _NUMBER.sub(r"\1\2. ", line)
    return _LETTER.sub(r"\1- \2 ", line)


# ---- tables


def table_markdown(block: OcrBlock) -> str:
    """GitHub's form, which has no spans: a cell's text stands in its first row and column, the others are empty."""
    grid = _grid(block.cells)
    if not grid:
        return ""
    first, *rest = ["| " + " | ".join(row) + " |" for row in grid]
    return "\n".join([first, "|" + " --- |" * len(grid[0]), *rest])


def _grid(cells: Sequence[OcrCell]) -> list[list[str]]:
    width = max((cell.column + cell.column_span for cell in cells), default=0)
    height = max((cell.row + cell.row_span for cell in cells), default=0)
    grid = [[""] * width for _ in range(height)]
    for cell in cells:
        grid[cell.row][cell.column] = "<br>".join(cell.text.replace("|", "\\|").splitlines())
    return grid


def table_html(block: OcrBlock) -> str:
    rows: dict[int, list[OcrCell]] = {}
    for cell in sorted(block.cells, key=lambda cell: (cell.row, cell.column)):
        rows.setdefault(cell.row, []).append(cell)
    height = max((cell.row + cell.row_span for cell in block.cells), default=0)
    shown = ("".join(_cell_html(cell) for cell in rows.get(row, [])) for row in range(height))
    return "<table>\n" + "".join(f"<tr>{row}</tr>\n" for row in shown) + "</table>"


def _cell_html(cell: OcrCell) -> str:
    spans = (("rowspan", cell.row_span), ("colspan", cell.column_span))
    shown = "".join(f' {name}="{span}"' for name, span in spans if span > 1)
    name = "th" if cell.header else "td"
    return f"<{name}{shown}>{_lines(cell.text)}</{name}>"


def _lines(text: str) -> str:
    return "<br>".join(escape(line) for line in text.splitlines())


# ---- HTML


def page_html(page: OcrResult) -> str:
    """The page's blocks as HTML elements; its text, where it has none."""
    if not page.blocks:
        return f"<p>{_lines(page.text)}</p>" if page.text else ""
    return "\n".join(part for part in map(_block_html, page.blocks) if part)


def _block_html(block: OcrBlock) -> str:
    if block.type == "heading":
        level = min(max(block.level, 1), 6)
        return f"<h{level}>{escape(' '.join(block.text.split()))}</h{level}>"
    if block.type == "table":
        return table_html(block)
    if block.type == "list":
        return (
            "<ul>\n" + "".join(f"<li>{escape(_plain_item(line))}</li>\n" for line in block.text.splitlines()) + "</ul>"
        )
    name = {"header": "header", "footer": "footer", "figure": "figure", "caption": "figcaption"}.get(block.type, "p")
    return f"<{name}>{_lines(block.text)}</{name}>" if block.text else ""


def _plain_item(line: str) -> str:
    """Without a bullet, which HTML draws; numbers stay."""
    return _BULLET.sub("", line).strip()
