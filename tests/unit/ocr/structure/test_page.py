"""Blocks of drawn pages: tables to the cell, headings, lists, running heads and feet, places in the page as given."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from src.ipc.messages.blocks import OcrBlock
from src.ipc.messages.ocr import OcrOptions, OcrRequest, OcrResult
from src.ocr.documents import DocumentLimits
from src.ocr.fake import FakeRecognizer, draw
from src.ocr.reader import PageReader
from src.ocr.reading import Pixels, Polygon, Reading, TextLine
from src.ocr.structure.page import PageStructure
from tests.bench import ocr_pages, structure_measures, structure_pages
from tests.bench.structure_pages import DrawnText, StructurePage, Style

STRUCTURE = OcrOptions(structure=True)


def read(page: StructurePage, folder: Path) -> OcrResult:
    """By its text layer, without the layout model."""
    file = folder / "page.pdf"
    file.write_bytes(page.pdf())
    result = PageReader(FakeRecognizer(), DocumentLimits()).answer(
        OcrRequest("1", b"", path=str(file), options=STRUCTURE)
    )
    assert isinstance(result, OcrResult), result
    return result


@pytest.mark.parametrize("style", ["ruled", "shaded", "open_sides", "head"])
def test_a_text_layers_tables_headings_and_running_heads(tmp_path: Path, style: Style) -> None:
    """Every cell in its row and column, empty ones and spans included."""
    page = structure_pages.page(style, 3)
    found = structure_measures.measure(page, read(page, tmp_path).blocks)
    assert found.cells == found.all_cells > 10
    assert (found.headings, found.running, found.extra) == (found.all_headings, found.all_running, 0)


def test_no_structure_is_found_unasked() -> None:
    result = PageReader(FakeRecognizer(), DocumentLimits()).answer(OcrRequest("1", draw("text=a")))
    assert isinstance(result, OcrResult)
    assert result.blocks == ()


def test_blocks_hold_all_of_the_pages_text(tmp_path: Path) -> None:
    """Nothing vanishes: every word of the text is in one of the blocks."""
    result = read(structure_pages.page("rows", 5), tmp_path)
    shown = " ".join(" ".join(cell.text for cell in block.cells) or block.text for block in result.blocks)
    assert sorted(shown.split()) == sorted(result.text.split())


# ---- pixels, with lines as a recognizer gives them


def pixels(image: Image.Image) -> Pixels:
    return np.ascontiguousarray(np.asarray(image.convert("RGB"))[:, :, ::-1])


def reading(page: StructurePage, rotation: int = 0, size: tuple[int, int] = ocr_pages.A4) -> Reading:
    """The drawn texts as lines, in the order in which they were drawn, on the page turned by so much."""
    lines = tuple(TextLine(text.text, 1.0, _turned(_box(text), rotation, size)) for text in page.texts)
    return Reading("\n".join(text.text for text in page.texts), lines, rotation)


def _box(text: DrawnText) -> tuple[float, float, float, float]:
    width = ocr_pages.font(text.size).getlength(text.text)
    return text.left, text.y, text.left + width, text.y + 1.2 * text.size


def _turned(box: tuple[float, float, float, float], rotation: int, size: tuple[int, int]) -> Polygon:
    """The corners on the page before it was turned upright by 0 or 180 degrees."""
    left, top, right, bottom = box
    corners = ((left, top), (right, top), (right, bottom), (left, bottom))
    return tuple((size[0] - x, size[1] - y) for x, y in corners) if rotation == 180 else corners


@pytest.mark.parametrize("rotation", [0, 180])
def test_a_scans_table_is_found_by_its_lines(rotation: int) -> None:
    """Also of a page that lies upside down: the boxes are those of the page as given."""
    page = structure_pages.page("ruled", 8)
    image = page.image(noise=4).rotate(rotation)
    blocks = PageStructure(use_model=False).blocks(pixels(image), reading(page, rotation))
    found = structure_measures.measure(page, blocks)
    assert found.cells == found.all_cells
    (table,) = [block for block in blocks if block.type == "table"]
    xs, ys = [line[0] for line in page.lines], [line[1] for line in page.lines]
    drawn = (min(xs), min(ys), max(xs), max(ys))
    wanted = drawn if not rotation else (1240 - drawn[2], 1754 - drawn[3], 1240 - drawn[0], 1754 - drawn[1])
    assert table.box == pytest.approx(wanted, abs=60)


def test_lists_and_captions() -> None:
    page = StructurePage("list")
    texts = ("The office asks for these things before the winter comes:", "• two ropes and", "a lamp", "• tar",
             "Table 4: What was bought", "All of them were there when the committee came in June.")  # fmt: skip
    ys = (300, 334, 368, 402, 460, 520)
    page.texts = [DrawnText(140 if text == "a lamp" else 100, y, text, 22) for y, text in zip(ys, texts, strict=True)]
    blocks = PageStructure(use_model=False).blocks(pixels(page.image()), reading(page))
    assert [(block.type, block.text) for block in blocks] == [
        ("text", texts[0]),
        ("list", "• two ropes and a lamp\n• tar"),
        ("caption", texts[4]),
        ("text", texts[5]),
    ]


@pytest.mark.parametrize("lines", [(), (TextLine("no place", None, ()),)])
def test_lines_without_places_have_no_blocks(lines: tuple[TextLine, ...]) -> None:
    """As vision models give them."""
    blank = np.full((40, 40, 3), 255, np.uint8)
    found: tuple[OcrBlock, ...] = PageStructure(use_model=False).blocks(blank, Reading("x", lines))
    assert found == ()


def test_rules_of_a_dark_page_are_found() -> None:
    """Light on dark, as in an editor or a terminal: the same blocks as on paper."""
    page = structure_pages.page("ruled", 8)
    dark = np.asarray(255 - pixels(page.image()), np.uint8)
    blocks = PageStructure(use_model=False).blocks(dark, reading(page))
    found = structure_measures.measure(page, blocks)
    assert (found.cells, found.extra) == (found.all_cells, 0)


def test_letters_of_a_dark_page_are_no_rules() -> None:
    page = StructurePage("code")
    texts = (
        "def merge(rows: list[Row], gap: float) -> list[Row]:",
        "out: list[Row] = []",
        "for row in rows:",
        "return out",
    )
    page.texts = [DrawnText(100, 300 + 34 * at, text, 22) for at, text in enumerate(texts)]
    dark = np.asarray(255 - pixels(page.image()), np.uint8)
    blocks = PageStructure(use_model=False).blocks(dark, reading(page))
    assert [block.type for block in blocks if block.type == "table"] == []
