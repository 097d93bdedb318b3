"""Part of `make eval-ocr`: reading order by OCR and in text layers, and what a detector overlooks. Through HTTP."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterable

import httpx
from PIL import Image, ImageDraw

from tests.bench import ocr_invoices, ocr_layouts
from tests.bench.ocr_layers import bad_layers, good_layers
from tests.bench.ocr_pages import A4, Page, font
from tests.bench.ocr_sheets import Sheet, kendall_tau, order_in

_WORDS = ("Appendix", "Notes", "7", "Contents", "A", "Annex B", "Page 3", "IV", "Ende", "12")
_SIZES = (14, 18, 22, 28, 36, 60, 90, 120)

Read = Callable[[bytes], str]


def report(url: str) -> None:
    """Writes one line per measure."""

    def read(data: bytes) -> str:
        return str(httpx.post(f"{url}/v1/ocr", files={"file": data}, timeout=300).json()["text"])

    sheets = ocr_layouts.all_sheets()
    ways: dict[str, Callable[[Sheet], bytes]] = {
        "by OCR": Sheet.png,
        "in text layers": Sheet.pdf,
        "in text layers drawn row by row": lambda sheet: sheet.pdf(by_row=True),
    }
    for name, made in ways.items():
        good = sum(in_order(sheet, read(made(sheet))) for sheet in sheets)
        sys.stdout.write(f"Layouts in order {name} (Kendall tau ≥ 0.98): {good} of {len(sheets)}\n")
    for name, layers, source in (("Good", good_layers(), "text_layer"), ("Bad", bad_layers(), "ocr")):
        right = sum(_source(url, data) == source for _, data in layers)
        sys.stdout.write(
            f"{name} text layers {'believed' if name == 'Good' else 'refused'}: {right} of {len(layers)}\n"
        )
    counts = [ocr_invoices.fields_right(one, read(one.page.png())) for one in ocr_invoices.invoices()]
    sys.stdout.write(f"Fields of 20 invoices: {sum(a for a, _ in counts)} of {sum(b for _, b in counts)}\n")
    words = lone_words()
    sys.stdout.write(f"Lone words: {sum(read(page.png()) == page.text for page in words)} of {len(words)}\n")
    table, receipt = dense_table(), long_receipt()
    sys.stdout.write(f"Cells of a dense table: {found_words(table.text, read(table.png()))} of 552 (wanted ≥ 550)\n")
    lines = read(receipt.png()).split("\n")
    right = sum(line in lines for line in receipt.text.split("\n"))
    sys.stdout.write(f"Lines of a receipt of 576 × 6400 pixels: {right} of 150\n")


def _source(url: str, data: bytes) -> str:
    answer = httpx.post(f"{url}/v1/ocr", files={"file": data}, timeout=300).json()
    return str(answer["pages"][0]["source"])


def in_order(sheet: Sheet, text: str) -> bool:
    order = order_in(text, [line.text for line in sheet.lines])
    return len(order) >= 0.6 * len(sheet.lines) and kendall_tau(order) >= 0.98


def found_words(wanted: str, got: str) -> int:
    """Words that are in their row: the rows of a table are compared as bags."""
    rows = zip(wanted.split("\n"), got.split("\n"), strict=False)
    return sum(_common(a.split(), b.split()) for a, b in rows)


def _common(wanted: Iterable[str], got: list[str]) -> int:
    left, count = list(got), 0
    for word in wanted:
        if word in left:
            left.remove(word)
            count += 1
    return count


def lone_words() -> list[Page]:
    """One word on an empty page, of any size, anywhere."""
    dice, pages = random.Random(1), []
    for number in range(24):
        word, size, image = dice.choice(_WORDS), _SIZES[number % len(_SIZES)], Image.new("RGB", A4, "white")
        place = dice.randint(60, 600), dice.randint(60, 1500)
        ImageDraw.Draw(image).text(place, word, "black", font(size))
        pages.append(Page(f"word {number}", word, image, 0))
    return pages


def dense_table() -> Page:
    """24 rows of 23 cells, most of one digit."""
    dice, image, rows = random.Random(4), Image.new("RGB", (2100, 700), "white"), []
    for row in range(24):
        cells = [str(dice.choice((0, 1, 3, 8, dice.randint(10, 999)))) for _ in range(23)]
        for at, cell in enumerate(cells):
            ImageDraw.Draw(image).text((20 + 90 * at, 10 + 28 * row), cell, "black", font(16))
        rows.append(" ".join(cells))
    return Page("dense table", "\n".join(rows), image, 0.005)


def long_receipt() -> Page:
    image, rows = Image.new("RGB", (576, 6400), "white"), []
    for row in range(150):
        text = f"Item {row + 1:03d} tea {(37 * row) % 90 + 1}.{(row * 13) % 100:02d}"
        ImageDraw.Draw(image).text((40, 20 + 42 * row), text, "black", font(24))
        rows.append(text)
    return Page("long receipt", "\n".join(rows), image, 0.01)
