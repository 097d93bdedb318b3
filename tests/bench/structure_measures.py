"""How much of a drawn page's structure was found: cells in their places, headings, running heads and feet."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from src.ipc.messages.blocks import OcrBlock, OcrCell
from tests.bench.structure_pages import DrawnCell, StructurePage
from tests.bench.table_similarity import similarity


@dataclass
class Found:
    """Numbers found and wanted; `extra`: headings, or lines in heads and feet, that are none; `alike`: sum of TEDS."""

    cells: int = 0
    all_cells: int = 0
    same: int = 0
    got_cells: int = 0
    headings: int = 0
    all_headings: int = 0
    running: int = 0
    all_running: int = 0
    extra: int = 0
    tables: int = 0
    alike: float = 0.0

    def add(self, other: Found) -> None:
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)

    @property
    def cell_f1(self) -> float:
        """Of cells with their text, row, column and spans."""
        return 2 * self.same / max(1, self.all_cells + self.got_cells)


def measure(page: StructurePage, blocks: Sequence[OcrBlock]) -> Found:
    tables = [block.cells for block in blocks if block.type == "table"]
    found = Found()
    for wanted in page.tables:
        found.add(max((_table(wanted, got) for got in tables), key=lambda one: one.cells, default=_table(wanted, ())))
    headings = [_plain(block.text) for block in blocks if block.type == "heading"]
    found.all_headings = len(page.headings)
    found.headings = sum(any(is_alike(got, text) for got in headings) for text in page.headings)
    for kind, wanted_texts in (("header", page.header), ("footer", page.footer)):
        here = "".join(_plain(block.text) for block in blocks if block.type == kind)
        found.all_running += len(wanted_texts)
        found.running += sum(_plain(text) in here for text in wanted_texts)
        found.extra += len(here) > sum(len(_plain(text)) for text in wanted_texts) + 2
    found.extra += len(headings) - found.headings
    return found


def _table(wanted: Sequence[DrawnCell], got: Sequence[OcrCell]) -> Found:
    places = {(cell.row, cell.column): cell for cell in got}
    found = Found(got_cells=len(got), tables=1, alike=similarity(wanted, got))
    for cell in wanted:
        found.all_cells += 1
        here = places.get((cell.row, cell.column))
        if here is not None and is_alike(here.text, cell.text):
            found.cells += 1
            found.same += (here.row_span, here.column_span) == (cell.row_span, cell.column_span)
    return found


def is_alike(got: str, wanted: str) -> bool:
    """The same text, but for a letter in four: what is measured is its place."""
    a, b = _plain(got), _plain(wanted)
    return a == b or (bool(a and b) and SequenceMatcher(None, a, b, autojunk=False).ratio() >= 0.75)


def _plain(text: str) -> str:
    return re.sub(r"\W+", "", text).lower()
