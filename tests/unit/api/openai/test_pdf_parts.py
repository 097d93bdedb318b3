"""A PDF's text as a model is shown it."""

from __future__ import annotations

import base64

import pytest

from src.api.cache.pdf_contents import PdfContent, PdfContents, PdfKey
from src.api.openai import pdf_parts
from src.errors import BackendUnavailable, InternalError, InvalidDocument, OcrCrashed, ServiceError
from src.ipc.messages.base import Failed
from src.ipc.messages.chat import ImagePart
from src.ipc.messages.ocr import OcrPage, OcrResult, OcrTimings


def page(number: int, text: str, *, markdown: str | None = None, truncated: bool = False) -> OcrPage:
    timings = OcrTimings(0, 0, 0)
    return OcrPage(number, OcrResult("f", text, (), 1, 1, 0, 0.0, timings, markdown=markdown, truncated=truncated))


def text_of(parts: tuple[str | ImagePart, ...]) -> str:
    return "".join(part for part in parts if isinstance(part, str)).lstrip()


def failed(number: int, error: ServiceError) -> OcrPage:
    return OcrPage(number, Failed.of(error))


def test_pages_in_their_order() -> None:
    """Markdown where there is one; a page that came twice is there once; one that was cut says so."""
    pages = [page(1, "b", truncated=True), page(0, "a", markdown="# a\n"), page(2, " \n"), page(0, "a", markdown="# a")]
    made = pdf_parts.of_pages(pages)
    cut = "[The rest of page 2 could not be read]"
    assert made == PdfContent((f"[Page 1]\n# a\n\n[Page 2]\nb\n{cut}\n\n[Page 3 has no text]",), 3)
    assert text_of(pdf_parts.shown("a.pdf", made)).startswith("[Document a.pdf, 3 pages]\n\n[Page 1]\n")


@pytest.mark.parametrize(
    ("error", "lasting"),
    [(InvalidDocument("damaged"), True), (OcrCrashed("twice"), True), (InternalError(), False)],
)
def test_a_page_that_cannot_be_read_is_said(error: ServiceError, lasting: bool) -> None:
    made = pdf_parts.of_pages([page(0, "a"), failed(1, error)])
    assert f"[Page 2 could not be read: {error.message}]" in made.text
    assert made.lasting is lasting


def test_nothing_that_can_be_read() -> None:
    """The first page's error; one that passes is the answer however many pages were read."""
    with pytest.raises(OcrCrashed):
        pdf_parts.of_pages([failed(0, OcrCrashed("twice"))])
    with pytest.raises(BackendUnavailable):
        pdf_parts.of_pages([page(0, "a"), failed(1, BackendUnavailable("gone"))])


@pytest.mark.parametrize(
    ("name", "shown"),
    [(None, "document.pdf"), (" ", "document.pdf"), ("a\nb\0.pdf", "a b .pdf"), ("x" * 500, "x" * 200)],
)
def test_a_name_is_one_line(name: str | None, shown: str) -> None:
    assert text_of(pdf_parts.shown(name, PdfContent(("",), 1))).startswith(f"[Document {shown}, 1 page]\n")
    assert pdf_parts.stand_in(name, "why").lstrip() == f"[Document {shown} could not be read: why]\n"


def test_a_payload() -> None:
    data = base64.b64encode(b"%PDF-1.4\n" + bytes(9)).decode()
    assert pdf_parts.payload(data, "p") == pdf_parts.payload(f"data:;base64,{data}", "p") == data.encode()
    with pytest.raises(InvalidDocument) as refused:
        pdf_parts.payload("data:application/pdf;base64,iVBORw0KGgo=", "p")
    assert refused.value.param == "p"


def test_what_is_kept_is_bounded() -> None:
    """In bytes; of what would be read otherwise the next time, nothing."""
    texts = PdfContents(1000, lambda _document, _timeout_s: [])
    first, second, third = (PdfKey("a", name) for name in "123")
    texts.put(first, PdfContent(("x" * 600,), 1))
    texts.put(second, PdfContent(("x" * 600,), 1))
    texts.put(third, PdfContent(("x",), 1, lasting=False))
    assert [texts.get(key) is not None for key in (first, second, third)] == [False, True, False]


def test_pages_as_pictures() -> None:
    """Each behind its mark, in their order; a page that cannot be rendered is said in its place."""
    drawn = [
        OcrPage(number, OcrResult("none", "", (), 1, 1, 0, 0.0, OcrTimings(0, 0, 0), picture=b"%d" % number))
        for number in (1, 0)
    ]
    made = pdf_parts.of_pictures([*drawn, failed(2, InvalidDocument("damaged"))])
    marks = ("[Page 1]\n", ImagePart(b"0"), "\n\n", "[Page 2]\n", ImagePart(b"1"), "\n\n")
    assert made == PdfContent((*marks, "[Page 3 could not be read: damaged]\n\n"), 3)
    assert pdf_parts.shown("a", made)[1:-1] == made.parts


def test_forms_are_kept_apart() -> None:
    """One PDF for a model that sees, and for one that does not."""
    kept = PdfContents(1000, lambda _document, _timeout_s: [])
    kept.put(PdfKey("a", "1", "pictures"), PdfContent((ImagePart(b"x" * 900),), 1))
    assert kept.get(PdfKey("a", "1")) is None
    kept.put(PdfKey("a", "1"), PdfContent(("x" * 200,), 1))
    assert kept.get(PdfKey("a", "1", "pictures")) is None
    assert kept.get(PdfKey("a", "1")) is not None
