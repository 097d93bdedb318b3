"""What a page consists of: typed blocks in reading order, from OCR workers to the writers in src/api/ocr."""

from __future__ import annotations

from typing import Literal

import msgspec

BlockType = Literal["heading", "text", "list", "table", "figure", "caption", "header", "footer"]
BlockBox = tuple[float, float, float, float]  # left, top, right, bottom, in pixels of the given image


class OcrCell(msgspec.Struct, frozen=True, omit_defaults=True):
    """A cell of a table: its first row and column, from 0, and how many of each it spans. Empty cells are there, too.

    `header`: it names a column. Lines of its text are separated by a line break.
    """

    row: int
    column: int
    text: str = ""
    row_span: int = 1
    column_span: int = 1
    header: bool = False


class OcrBlock(msgspec.Struct, frozen=True, omit_defaults=True):
    """A part of a page. `header` and `footer` are running heads and feet.

    `text`: its lines; of a list one line an item, with its mark, indented by two spaces a level. `level`: of a heading,
    1 to 6. `cells`: of a table, row by row.
    """

    type: BlockType
    box: BlockBox
    text: str = ""
    level: int = 0
    cells: tuple[OcrCell, ...] = ()
