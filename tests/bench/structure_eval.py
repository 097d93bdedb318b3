"""The structure part of `make eval-ocr`: drawn tables, headings, running heads and feet, through HTTP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TextIO

import httpx
import msgspec

from src.ipc.messages.blocks import BlockType, OcrBlock, OcrCell
from tests.bench import structure_measures, structure_pages
from tests.bench.structure_measures import Found
from tests.bench.structure_pages import StructurePage

_PAGES = 40
_TYPES: dict[str, BlockType] = {"title": "heading", "table": "table", "header": "header", "footer": "footer"}


def report(url: str, cpu_s: Callable[[], float], out: TextIO) -> None:
    """Both as text layers and as scans, noisy and a little skewed; wanted of cells, headings, heads and feet: 95 %."""
    titles = ("Pages", "Cells in place", "with spans, F1", "TEDS", "Headings", "Heads and feet", "Extra", "CPU-s")
    out.write(f"\n| {' | '.join(titles)} |\n")
    out.write("|---|---|---|---|---|---|---|---|\n")
    for name, scanned in (("text layers", False), ("scans", True)):
        found, before = Found(), cpu_s()
        for at, page in enumerate(structure_pages.pages(_PAGES)):
            found.add(structure_measures.measure(page, _blocks(url, page, at, scanned=scanned)))
        spent = (cpu_s() - before) / _PAGES
        alike = found.alike / found.tables
        shares = (found.cells / found.all_cells, found.cell_f1, alike, found.headings / found.all_headings)
        shown = " | ".join(f"{100 * share:.1f} %" for share in (*shares, found.running / found.all_running))
        out.write(f"| {_PAGES} {name} | {shown} | {found.extra} | {spent:.2f} |\n")
        out.flush()


def _blocks(url: str, page: StructurePage, at: int, *, scanned: bool) -> list[OcrBlock]:
    data = page.png(noise=6, skew=(0.0, 0.8, -1.2)[at % 3]) if scanned else page.pdf()
    form = {"include_blocks": "true"}
    answer = httpx.post(f"{url}/v1/ocr", files={"file": data}, data=form, timeout=120).json()
    return [_block(block) for block in answer["pages"][0]["blocks"]]


def _block(block: dict[str, Any]) -> OcrBlock:
    kind = _TYPES.get(block["type"], "text")
    cells = msgspec.convert(block.get("cells", ()), tuple[OcrCell, ...])
    return OcrBlock(kind, (0, 0, 0, 0), block["content"], cells=cells)
