"""What a read document can be given as: every format holds every line, and is what it says it is."""

from __future__ import annotations

import io
from collections.abc import Iterator

import msgspec
import pypdfium2
import pytest
from flask import Flask
from PIL import Image

from src.api.ocr import formats, shapes
from src.api.ocr.responses import OcrDocumentOut
from src.api.ocr.schemas import Format
from src.errors import InvalidRequest
from src.ipc.messages.base import Failed
from src.ipc.messages.ocr import OcrLine, OcrPage, OcrResult, OcrTimings

TEXTS = ("Invoice <No. 7> & Co", "金额 42 €", 'said "no"')


def page(number: int, texts: tuple[str, ...] = TEXTS, picture: bytes = b"") -> OcrPage:
    lines = tuple(
        OcrLine(text, 0.9, ((20, 40 * at), (220, 40 * at), (220, 40 * at + 30), (20, 40 * at + 30)))
        for at, text in enumerate(texts, 1)
    )
    times = OcrTimings(0.1, 0.2, 0.3)
    return OcrPage(
        number, OcrResult("rapidocr", "\n".join(texts), lines, 300, 200, 0, 0.0, times, dpi=150, picture=picture)
    )


FAILED = OcrPage(1, Failed("invalid_document", "The page is damaged.", "file"))


@pytest.fixture(autouse=True)
def context() -> Iterator[None]:
    with Flask("test").app_context():
        yield


def body(wanted: Format, *pages: OcrPage) -> bytes:
    return formats.response("doc", pages, 99, wanted).get_data()


def test_json_is_mistrals_shape_and_lines() -> None:
    """Pages by number from 0 with markdown and dimensions, and beside them what Mistral does not tell."""
    answer = msgspec.json.decode(body("json", FAILED, page(0)))
    first, second = answer["pages"]
    assert (first["index"], first["markdown"], first["dimensions"]) == (
        0,
        "\n".join(TEXTS),
        {"dpi": 150, "height": 200, "width": 300},
    )
    assert (first["lines"][0]["bbox"], first["confidence"], first["error"]) == ([20, 40, 220, 70], 0.9, None)
    assert (second["index"], second["error"]["code"], second["markdown"]) == (1, "invalid_document", "")
    assert answer["usage_info"] == {"pages_processed": 2, "doc_size_bytes": 99}
    assert (answer["model"], answer["object"], "lines" in answer) == ("rapidocr", "ocr.document", False)


def test_one_page_stands_on_top_too() -> None:
    """For one image the answer can be read without looking into pages."""
    answer: OcrDocumentOut = shapes.document("doc", [page(0)], 99)
    assert (answer.text, answer.width, answer.height, answer.rotation) == ("\n".join(TEXTS), 300, 200, 0)
    assert answer.lines == answer.pages[0].lines


@pytest.mark.parametrize("wanted", ["text", "markdown"])
def test_text_holds_all_pages_in_order(wanted: Format) -> None:
    """Whatever the order they came in."""
    text = body(wanted, page(1, ("second",)), page(0, ("first",))).decode()
    assert text.replace("\f", "\n\n") == "first\n\nsecond\n"


def test_a_searchable_pdf_shows_the_picture_and_holds_the_text() -> None:
    """Another program finds every line, in any script, where it stands."""
    buffer = io.BytesIO()
    Image.new("RGB", (300, 200), "white").save(buffer, "jpeg")
    document = pypdfium2.PdfDocument(body("pdf", page(0, picture=buffer.getvalue())))
    assert document[0].get_size() == pytest.approx((144, 96))
    text = document[0].get_textpage()
    assert text.count_rects() == 3
    assert text.get_text_range().split("\r\n") == list(TEXTS)
    left, bottom, right, top = text.get_rect(0)
    assert (left, 96 - top, right, 96 - bottom) == pytest.approx((9.6, 19.2, 105.6, 33.6), abs=5)
    assert document[0].render().to_numpy().min() > 240
    document.close()


def test_a_searchable_pdf_of_a_fax_has_the_papers_size() -> None:
    """Its pixels are not square: the picture was stretched, the places of words are those of the fax."""
    buffer = io.BytesIO()
    Image.new("RGB", (300, 420), "white").save(buffer, "jpeg")
    document = pypdfium2.PdfDocument(body("pdf", page(0, picture=buffer.getvalue())))
    assert document[0].get_size() == pytest.approx((144, 201.6))
    text = document[0].get_textpage()
    assert text.count_rects() == 3
    left, bottom, right, top = text.get_rect(0)
    assert (left, 201.6 - top, right, 201.6 - bottom) == pytest.approx((9.6, 40.3, 105.6, 70.6), abs=8)
    document.close()


def test_a_pdf_needs_pictures() -> None:
    """A job that was started for another format has none, and says so."""
    with pytest.raises(InvalidRequest, match="must be asked for"):
        body("pdf", page(0))


def test_failed_pages_are_named_in_a_header() -> None:
    """Formats without room for errors do not hide them."""
    answer = formats.response("doc", [page(0), FAILED], 99, "text")
    assert answer.headers[formats.FAILED_PAGES] == "2"
