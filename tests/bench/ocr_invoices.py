"""Part of `make eval-ocr`: drawn invoices, scanned, and the fields that their text and tables give.

The small models of the suite cannot answer under a schema from a page, so what is measured is what a model is given: a
value beside its name, or in its row and column.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from tests.bench.ocr_pages import A4, Page, font

_SELLERS = ("Brackwater Supplies Ltd.", "Northam Rope Works", "Keel & Sons", "Quay Lamps GmbH", "Tar and Canvas Co.")
_ITEMS = ("Rope, 12 mm", "Shackle, galvanised", "Lamp glass, red", "Tar, 50 litres", "Canvas, waxed", "Brass hinge")
_NAMES = (
    ("Invoice no.", "Date", "Customer no.", "Amount due"),
    ("Number", "Issued", "Account", "Total"),
    ("Reference:", "Invoice date:", "Your number:", "To pay:"),
)
_COLUMNS = (100, 620, 800, 980)


@dataclass(frozen=True)
class Invoice:
    """A scan, its named values, and its rows of item, quantity, price, total."""

    page: Page
    values: dict[str, str]
    rows: list[tuple[str, ...]]


def invoices(count: int = 20) -> list[Invoice]:
    return [_invoice(random.Random(seed)) for seed in range(count)]


def fields_right(invoice: Invoice, text: str) -> tuple[int, int]:
    """How many values are behind their name, or cells in their row; and of how many."""
    lines = [" ".join(line.split()) for line in text.split("\n")]
    found = sum(
        any(re.search(rf"{re.escape(name)}\s+{re.escape(value)}(\s|$)", line) for line in lines)
        for name, value in invoice.values.items()
    )
    rows = {row[0]: next((line for line in lines if line.startswith(row[0])), "") for row in invoice.rows}
    cells = sum(rows[row[0]][len(row[0]) :].split() == list(row[1:]) for row in invoice.rows) * 3
    return found + cells, len(invoice.values) + 3 * len(invoice.rows)


def _invoice(dice: random.Random) -> Invoice:
    image, size = Image.new("L", A4, 255), dice.choice((20, 24, 28))
    pen = ImageDraw.Draw(image)
    pen.text((100, 90), dice.choice(_SELLERS), 0, font(40))
    number, date = f"{dice.randint(2020, 2026)}-{dice.randint(0, 9999):04d}", f"{dice.randint(1, 28):02d}.03.2026"
    rows = [_row(dice, item) for item in dice.sample(_ITEMS, dice.randint(2, 5))]
    total = f"{sum(float(row[3]) for row in rows):.2f}"
    values = dict(zip(dice.choice(_NAMES), (number, date, f"K{dice.randint(1000, 9999)}", total), strict=True))
    left = dice.choice((100, 640))
    *above, due = values.items()
    y = 220
    for name, value in above:
        pen.text((left, y), name, 0, font(size))
        pen.text((left + 230, y), value, 0, font(size))
        y += 2 * size
    y = _table(pen, rows, y + 60, size, ruled=dice.random() < 0.5)
    pen.text((_COLUMNS[2] - 40, y + 30), due[0], 0, font(size))
    pen.text((_COLUMNS[3], y + 30), due[1], 0, font(size))
    return Invoice(Page("invoice", "", _scanned(image, dice), 0), values, rows)


def _row(dice: random.Random, item: str) -> tuple[str, ...]:
    quantity, price = dice.randint(1, 60), dice.randint(100, 9999)
    return item, str(quantity), f"{price / 100:.2f}", f"{quantity * price / 100:.2f}"


def _table(pen: ImageDraw.ImageDraw, rows: list[tuple[str, ...]], y: int, size: int, *, ruled: bool) -> int:
    top, step = y, 2 * size
    for row in (("Item", "Quantity", "Price", "Total"), *rows):
        for x, cell in zip(_COLUMNS, row, strict=True):
            pen.text((x, y + size // 2 - 4), cell, 0, font(size))
        y += step
    if ruled:
        edges = [x - 12 for x in (*_COLUMNS, 1150)]
        for at in range(len(rows) + 2):
            pen.line((edges[0], top + at * step, edges[-1], top + at * step), 0, 2)
        for x in edges:
            pen.line((x, top, x, y), 0, 2)
    return y


def _scanned(image: Image.Image, dice: random.Random) -> Image.Image:
    turned = image.rotate(dice.uniform(-1, 1), Image.Resampling.BICUBIC, fillcolor=255)
    grain = np.random.default_rng(dice.randint(0, 999)).normal(0, 7, (turned.height, turned.width))
    return Image.fromarray((np.asarray(turned, np.float32) + grain).clip(0, 255).astype(np.uint8)).convert("RGB")
