"""Text layers of PDFs: columns drawn across, spaced and turned letters, wrong mappings, pictures beside text."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from src.errors import InvalidDocument
from src.ocr import layer_check, layer_quality
from src.ocr.documents import DocumentLimits
from src.ocr.pdf import PdfFile
from src.ocr.reading import Pixels, Reading, TextLayer, TextLine
from tests.bench import ocr_layouts
from tests.bench.ocr_pages import INVOICE, PROSE
from tests.bench.ocr_sheets import kendall_tau, order_in
from tests.unit.ocr.files import pdf, pdf_with_picture

NOTICE = "The north pier is closed until Thursday"
GERMAN = "Der Hafenausschuss trat am Dienstag zusammen, um den Bericht des Ingenieurs zu hören, der die Mole abging."
POLISH = "Komisja portowa zebrała się we wtorek, aby wysłuchać raportu inżyniera o stanie północnego mola i lamp."
FINNISH = "Satamalautakunta kokoontui tiistaina kuullakseen insinöörin raportin pohjoisen laiturin alemmista palkeista."
LAYOUTS = (
    "centred title over 2 columns",
    "title between 2 columns",
    "running heads over 3 columns",
    "form",
    "table over columns",
    "table beside bullets",
    "caption between columns",
)


def layer(data: bytes) -> TextLayer | None:
    document = PdfFile(data, DocumentLimits())
    try:
        return document.text(0, 150)
    finally:
        document.close()


def shifted(text: str, places: int = -1) -> str:
    """Each letter another one, as by a wrong table in a font."""
    return "".join(
        chr((ord(c.lower()) - 97 + places) % 26 + (65 if c.isupper() else 97)) if c.isascii() and c.isalpha() else c
        for c in text
    )


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("by_row", [False, True])
def test_columns_are_read_in_order_however_they_are_drawn(name: str, *, by_row: bool) -> None:
    """Lines drawn across the columns have a gap, at which they are cut."""
    sheet = ocr_layouts.sheet(name)
    found = layer(sheet.pdf(by_row=by_row))
    assert found is not None
    order = order_in(found.reading.text, [line.text for line in sheet.lines])
    assert len(order) > 0.7 * len(sheet.lines)
    assert kendall_tau(order) >= 0.98


@pytest.mark.parametrize("seed", [7000, 8000])
def test_a_line_ends_where_another_font_begins_beyond_a_gap(seed: int) -> None:
    """A title beside the first line of a column, drawn right after it: PDFium takes both for one line."""
    sheet = ocr_layouts.sheet("title over 2 of 3 columns", seed)
    found = layer(sheet.pdf(by_row=True))
    assert found is not None
    assert kendall_tau(order_in(found.reading.text, [line.text for line in sheet.lines])) >= 0.98


def test_letters_that_stand_apart_are_words() -> None:
    """Letters placed one by one, with room between them, are joined by their distances."""
    place, drawn = 60.0, ""
    for letter in NOTICE:
        drawn += f"1 0 0 1 {place:.0f} 700 Tm ({letter}) Tj\n" if letter != " " else ""
        place += 9 if letter == " " else 12
    data = pdf(["x" * len(drawn)]).replace(b"1 0 0 1 60 770 Tm (" + b"x" * len(drawn) + b") Tj", drawn.encode())
    spread = data.replace(b"BT /F 14 Tf", b"BT /F 10 Tf")
    found = layer(spread)
    assert found is not None
    assert (found.reading.text, found.letters_joined) == (NOTICE, True)


@pytest.mark.parametrize(("matrix", "rotation"), [("0 1 -1 0", 90), ("-1 0 0 -1", 180), ("0 -1 1 0", 270)])
def test_text_turned_in_the_content_is_turned_back(matrix: str, rotation: int) -> None:
    """A layer whose lines run up, down or backwards is good text, and its rotation is told."""
    lines = ["Region first second", "North 10 20", "South 30 40"]
    data = pdf(["\n".join(lines)])
    step = {90: (20, 0), 180: (0, 20), 270: (-20, 0)}[rotation]
    for row in range(3):
        place = f"{matrix} {300 + row * step[0]} {400 + row * step[1]} Tm"
        data = data.replace(f"1 0 0 1 60 {770 - 20 * row} Tm".encode(), place.encode())
    found = layer(data)
    assert found is not None
    assert found.reading.text.split("\n") == lines
    assert found.reading.rotation == rotation


# ---- what is believed


@pytest.mark.parametrize("text", [PROSE, GERMAN, POLISH, FINNISH, " ".join(" ".join(row) for row in INVOICE)])
def test_good_text_is_not_doubted(text: str) -> None:
    """Languages in Latin script, and tables of goods and prices."""
    assert layer_quality.doubt(text) == ""


@pytest.mark.parametrize("places", range(1, 26))
def test_shifted_letters_are_doubted(places: int) -> None:
    """Whatever the wrong table puts in the place of a letter."""
    assert layer_quality.doubt(shifted(PROSE[:400], places)) != ""


@pytest.mark.parametrize(
    "text", ["Appendix A", "F1ct1onal lnv3ntory 0f th3 n0rth st0r3 8lue k3ttle w|th l1d tw3lve p1eces"]
)
def test_short_text_and_garbage_are_doubted(text: str) -> None:
    """Too little to judge, and words with digits in them."""
    assert layer_quality.doubt(text) != ""


@dataclass
class _Reads:
    """A recognizer that finds one line in whatever it is given."""

    text: str
    name: str = "rapidocr"
    languages: frozenset[str] | None = None

    def read(self, page: Pixels, language: str | None = None) -> Reading:
        box = ((5.0, 5.0), (50.0, 5.0), (50.0, 15.0), (5.0, 15.0))
        return Reading(self.text, (TextLine(self.text, 0.9, box),))


def white() -> Pixels:
    return np.full((400, 300, 3), 255, np.uint8)


def own(text: str, doubt: str, **options: object) -> TextLayer:
    box = ((10.0, 300.0), (100.0, 300.0), (100.0, 320.0), (10.0, 320.0))
    return TextLayer(Reading(text, (TextLine(text, None, box),)), (300, 400), doubt, **options)  # type: ignore[arg-type]


def test_a_doubted_layer_is_compared_with_the_page() -> None:
    """What the page shows decides; text that the recognizer cannot read is believed."""
    assert layer_check.objection(own("Appendix A", "short"), white, _Reads("Appendix A")) == ""
    assert layer_check.objection(own(shifted(NOTICE), "odd"), white, _Reads(NOTICE)) != ""
    assert layer_check.objection(own("Северный причал закрыт", "odd"), white, _Reads("12")) == ""


def test_a_layer_that_is_not_doubted_costs_no_rendering() -> None:
    """Good layers are used as they are."""

    def never() -> Pixels:
        raise AssertionError

    assert layer_check.objection(own(NOTICE, ""), never, _Reads("")) == ""
    assert layer_check.with_pictures(own(NOTICE, ""), never, _Reads("")) == (own(NOTICE, "").reading, 0)


def test_text_in_pictures_is_merged_in_order() -> None:
    """A picture without text of the layer is read, and its lines come where they stand."""
    page = white()
    page[20:200:2] = 0
    reading, added = layer_check.with_pictures(
        own("Date 3 May", "", pictures=((0.0, 0.0, 300.0, 250.0),)), lambda: page, _Reads("In the picture")
    )
    assert (reading.text, added) == ("In the picture\nDate 3 May", 1)


def test_pictures_that_cannot_be_rendered_are_a_warning() -> None:
    """The layer is kept, and the client told what it may lack."""

    def refused() -> Pixels:
        raise InvalidDocument("too large")

    layered = own(NOTICE, "short", pictures=((0.0, 0.0, 300.0, 250.0),))
    reading, _ = layer_check.with_pictures(layered, refused, _Reads(""))
    assert [warning.code for warning in reading.warnings] == ["pictures_not_read"]
    assert layer_check.objection(layered, refused, _Reads("")) == ""


def test_a_page_without_characters_has_no_layer() -> None:
    """A picture alone is read by OCR."""
    assert layer(pdf_with_picture(8, 8)) is None
