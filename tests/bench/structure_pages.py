"""Pages with headings, lists, tables, running heads and feet, drawn from a seed: as a scan or with a text layer.

What is drawn is known to the cell. Nothing of it was taken from a document.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw

from tests.bench.ocr_pages import A4, PROSE, font

Style = Literal["ruled", "rows", "head", "shaded", "open_sides", "unruled", "wide_rows"]
STYLES: tuple[Style, ...] = ("ruled", "unruled", "rows", "head", "shaded", "wide_rows", "open_sides", "unruled")
_NOUNS = (
    *("Rope", "Lamp", "Anchor", "Barrel of tar", "Kettle", "Pier", "Net", "Engine oil", "Copper wire", "Red paint"),
    *("Canvas", "Chain", "Compass", "Ladder", "Bolt", "Mooring ring", "Pump", "Brass hinge", "Flag", "Whistle"),
)
_HEADS = ("Item", "Place", "Quantity", "Price", "Total", "Weight", "Year", "Share", "Note", "Berth")
_GROUPS = ("North pier", "South pier", "Inner basin", "Yard")
_TITLES = ("Annual report of the harbour", "Works on the piers", "Stores and supplies", "The fleet in winter")
_SECTIONS = ("Moorings and berths", "Summary", "Repairs of the year", "Income and rents", "Plans for spring", "Stocks")


@dataclass(frozen=True)
class DrawnCell:
    row: int
    column: int
    text: str
    row_span: int = 1
    column_span: int = 1


@dataclass(frozen=True)
class DrawnText:
    """`x`: its left edge; of a right-aligned one its right edge; of a centred one its middle."""

    x: float
    y: float
    text: str
    size: int
    bold: bool = False
    align: Literal["left", "right", "center"] = "left"

    @property
    def left(self) -> float:
        width = font(self.size).getlength(self.text)
        return self.x - {"left": 0.0, "right": width, "center": width / 2}[self.align]


@dataclass
class StructurePage:
    """What is drawn, and what should be found."""

    name: str
    texts: list[DrawnText] = field(default_factory=list)
    lines: list[tuple[float, float, float, float]] = field(default_factory=list)
    shades: list[tuple[float, float, float, float]] = field(default_factory=list)
    tables: list[list[DrawnCell]] = field(default_factory=list)
    headings: list[str] = field(default_factory=list)
    header: list[str] = field(default_factory=list)
    footer: list[str] = field(default_factory=list)

    def image(self, *, noise: float = 0.0, skew: float = 0.0) -> Image.Image:
        """As a scan."""
        image = Image.new("L", A4, 255)
        pen = ImageDraw.Draw(image)
        for shade in self.shades:
            pen.rectangle(shade, 218)
        for line in self.lines:
            pen.line(line, 40, 2)
        for text in self.texts:
            pen.text((text.left, text.y), text.text, 0, font(text.size), stroke_width=int(text.bold))
        if skew:
            image = image.rotate(skew, Image.Resampling.BICUBIC, fillcolor=255)
        if noise:
            grain = np.random.default_rng(5).normal(0, noise, (image.height, image.width))
            image = Image.fromarray((np.asarray(image, np.float32) + grain).clip(0, 255).astype(np.uint8))
        return image

    def png(self, *, noise: float = 0.0, skew: float = 0.0) -> bytes:
        buffer = io.BytesIO()
        self.image(noise=noise, skew=skew).save(buffer, "png")
        return buffer.getvalue()

    def pdf(self) -> bytes:
        """With a text layer: Helvetica, stretched to the widths of the scan's font."""
        return _pdf(self)


def pages(count: int = 40, seed: int = 1) -> list[StructurePage]:
    """As many tables, half of them ruled."""
    return [page(STYLES[at % len(STYLES)], seed * 1000 + at) for at in range(count)]


def page(style: Style, seed: int) -> StructurePage:
    dice = np.random.default_rng(seed)
    drawn = StructurePage(f"{style} {seed}")
    _running(drawn, dice)
    y = 150.0
    if dice.random() < 0.7:
        y = _heading(drawn, y, str(dice.choice(_TITLES)), 44, bold=False)
    y = _heading(drawn, y, _section(dice, 1), 30, bold=bool(dice.random() < 0.5))
    y = _paragraph(drawn, dice, y, int(dice.integers(2, 5)))
    if dice.random() < 0.4:
        y = _list(drawn, dice, y)
    y = _table(drawn, dice, style, y + 24)
    if dice.random() < 0.6:
        y = _heading(drawn, y + 20, _section(dice, 2), 30, bold=drawn.texts[-1].bold)
    _paragraph(drawn, dice, y + 16, int(dice.integers(2, 6)))
    return drawn


def _section(dice: np.random.Generator, number: int) -> str:
    name = str(dice.choice(_SECTIONS))
    return f"{number} {name}" if dice.random() < 0.5 else name


def _running(drawn: StructurePage, dice: np.random.Generator) -> None:
    if dice.random() < 0.8:
        drawn.header = (
            ["Harbour office of Brackwater", "June 2026"] if dice.random() < 0.5 else ["Harbour Review, vol. 7"]
        )
        drawn.texts.append(DrawnText(100, 62, drawn.header[0], 18))
        drawn.texts += [DrawnText(1140, 62, text, 18, align="right") for text in drawn.header[1:]]
    if dice.random() < 0.9:
        number = int(dice.integers(1, 200))
        drawn.footer = [str(dice.choice([str(number), f"Page {number} of 240", f"Brackwater Harbour, page {number}"]))]
        drawn.texts.append(DrawnText(620, 1672, drawn.footer[0], 18, align="center"))


def _heading(drawn: StructurePage, y: float, text: str, size: int, *, bold: bool) -> float:
    drawn.headings.append(text)
    drawn.texts.append(DrawnText(100, y, text, size, bold))
    return y + size * 1.9


def _paragraph(drawn: StructurePage, dice: np.random.Generator, y: float, rows: int) -> float:
    words = PROSE.split()
    start = int(dice.integers(0, len(words) - 20 * rows))
    ahead = iter(words[start:])
    line = next(ahead)
    while rows:
        word = next(ahead)
        if font(22).getlength(f"{line} {word}") > 1030:
            drawn.texts.append(DrawnText(100, y, line, 22))
            y, line, rows = y + 34, word, rows - 1
        else:
            line = f"{line} {word}"
    return y + 18


def _list(drawn: StructurePage, dice: np.random.Generator, y: float) -> float:
    for number, text in enumerate(dice.choice(_NOUNS, 3, replace=False), 1):
        drawn.texts.append(DrawnText(130, y, f"{number}. {text} for the pier", 22))
        y += 34
    return y + 18


# ---- tables


@dataclass(frozen=True)
class _Plan:
    """Places of a table's rows and columns, and which columns hold numbers."""

    xs: list[float]
    ys: list[float]
    numeric: list[bool]
    head: int


def _table(drawn: StructurePage, dice: np.random.Generator, style: Style, y: float) -> float:
    columns, rows = int(dice.integers(3, 8)), int(dice.integers(4, 13))
    head = 2 if dice.random() < 0.35 and columns > 3 else 1
    weights = np.concatenate(([2.0], dice.uniform(0.9, 1.5, columns - 1)))
    left, width = 100.0, float(dice.uniform(800, 1040)) if columns < 6 else 1040.0
    xs = [left, *(left + width * np.cumsum(weights) / weights.sum())]
    step = float(dice.choice([34, 40, 48]))
    ys = [y + step * at for at in range(rows + head + 1)]
    plan = _Plan([float(x) for x in xs], ys, [False, *(dice.random(columns - 1) < 0.75)], head)
    cells = _cells(dice, plan, rows, columns, spans=style in ("ruled", "shaded"))
    for cell in cells:
        _draw_cell(drawn, cell, plan)
    _rule(drawn, style, plan, cells)
    drawn.tables.append(cells)
    return ys[-1] + 26


def _cells(dice: np.random.Generator, plan: _Plan, rows: int, columns: int, *, spans: bool) -> list[DrawnCell]:
    names = [str(name) for name in dice.permutation(_HEADS)[:columns]]
    cells = _head(dice, names, plan.head)
    row = plan.head
    while row < plan.head + rows:
        tall = 2 if spans and dice.random() < 0.15 and row + 1 < plan.head + rows else 1
        cells.append(DrawnCell(row, 0, str(dice.choice(_NOUNS)), tall))
        for below in range(tall):
            cells += [DrawnCell(row + below, at, _value(dice, plan.numeric[at])) for at in range(1, columns)]
        row += tall
    return cells


def _head(dice: np.random.Generator, names: Sequence[str], rows: int) -> list[DrawnCell]:
    """One row of names, or groups of two columns above them."""
    if rows == 1:
        return [DrawnCell(0, at, name) for at, name in enumerate(names)]
    cells = [DrawnCell(0, 0, names[0], 2)]
    column = 1
    while column < len(names):
        wide = 2 if column + 2 <= len(names) and len(names) - column != 3 else 1
        wide = 2 if len(names) - column == 2 else wide
        if wide == 1:
            cells.append(DrawnCell(0, column, names[column], 2))
        else:
            cells.append(DrawnCell(0, column, str(dice.choice(_GROUPS)), 1, 2))
            cells += [DrawnCell(1, column + at, names[column + at]) for at in range(2)]
        column += wide
    return cells


def _value(dice: np.random.Generator, numeric: bool) -> str:
    if dice.random() < 0.12:
        return ""
    if not numeric:
        return str(dice.choice(["yes", "no", "north", "Shelf 4", "late", "open", "green"]))
    kinds = (
        f"{dice.integers(2, 99)}",
        f"{dice.uniform(1, 999):.2f}",
        f"{dice.integers(1, 99)},{dice.integers(100, 999)}",
    )
    return str(kinds[int(dice.integers(0, 3))])


def _draw_cell(drawn: StructurePage, cell: DrawnCell, plan: _Plan) -> None:
    if not cell.text:
        return
    left, right = plan.xs[cell.column], plan.xs[cell.column + cell.column_span]
    top, bottom = plan.ys[cell.row], plan.ys[cell.row + cell.row_span]
    y = (top + bottom) / 2 - 13
    bold = cell.row < plan.head
    if cell.column_span > 1:
        drawn.texts.append(DrawnText((left + right) / 2, y, cell.text, 20, bold, "center"))
    elif plan.numeric[cell.column]:
        drawn.texts.append(DrawnText(right - 12, y, cell.text, 20, bold, "right"))
    else:
        drawn.texts.append(DrawnText(left + 12, y, cell.text, 20, bold))


def _rule(drawn: StructurePage, style: Style, plan: _Plan, cells: Sequence[DrawnCell]) -> None:
    left, right, top, bottom = plan.xs[0], plan.xs[-1], plan.ys[0], plan.ys[-1]
    head = plan.ys[plan.head]
    if style in ("ruled", "open_sides", "shaded"):
        for cell in cells:
            x0, x1 = plan.xs[cell.column], plan.xs[cell.column + cell.column_span]
            y0, y1 = plan.ys[cell.row], plan.ys[cell.row + cell.row_span]
            sides = [(x0, y0, x1, y0), (x0, y1, x1, y1), (x0, y0, x0, y1), (x1, y0, x1, y1)]
            inner = [side for side in sides if side[0] != side[2] or left < side[0] < right]
            drawn.lines += inner if style == "open_sides" else sides
        if style == "shaded":
            drawn.shades.append((left, top, right, head))
    elif style == "rows":
        drawn.lines += [(left, y, right, y) for y in (top, *plan.ys[plan.head :])]
    elif style == "head":
        drawn.lines += [(left, y, right, y) for y in (top, head, bottom)]
        groups = [cell for cell in cells if cell.row == 0 and cell.column_span > 1]
        drawn.lines += [
            (plan.xs[one.column] + 14, plan.ys[1], plan.xs[one.column + one.column_span] - 14, plan.ys[1])
            for one in groups
        ]
    elif style == "wide_rows":
        drawn.shades += [(left, plan.ys[at], right, plan.ys[at + 1]) for at in range(plan.head, len(plan.ys) - 1, 2)]


# ---- PDF


def _pdf(page: StructurePage) -> bytes:
    scale, height = 72 / 150, A4[1]
    parts = [f"{218 / 255:.3f} g"]
    parts += [f"{x0 * scale:.2f} {(height - y1) * scale:.2f} {(x1 - x0) * scale:.2f} {(y1 - y0) * scale:.2f} re f"
              for x0, y0, x1, y1 in page.shades]  # fmt: skip
    parts += ["0 g 0.8 w"]
    parts += [f"{x0 * scale:.2f} {(height - y0) * scale:.2f} m {x1 * scale:.2f} {(height - y1) * scale:.2f} l S"
              for x0, y0, x1, y1 in page.lines]  # fmt: skip
    for text in page.texts:
        shown = text.text.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")
        place = f"1 0 0 1 {text.left * scale:.2f} {(height - text.y - 0.95 * text.size) * scale:.2f} Tm"
        parts.append(f"BT /{'B' if text.bold else 'F'} {text.size * scale:.2f} Tf 94 Tz {place} ({shown}) Tj ET")
    drawn = "\n".join(parts).encode("latin-1")
    fonts = b"<< /F 3 0 R /B 4 0 R >>"
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Count 1 /Kids [5 0 R] >>",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica-Bold /Encoding /WinAnsiEncoding >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 %.2f %.2f] /Resources << /Font %s >> /Contents 6 0 R >>"
        % (A4[0] * scale, A4[1] * scale, fonts),
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(drawn), drawn),
    ]
    out, places = bytearray(b"%PDF-1.4\n"), []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    end = b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, len(out))
    return bytes(out) + b"xref\n0 %d\n0000000000 65535 f \n%s" % (len(objects) + 1, table) + end
