"""A PDF made searchable: digital pages as they are, text where the scan shows it, sizes and turns kept."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pikepdf
import pypdfium2
import pytest

from src.errors import InvalidDocument
from src.ipc.messages.base import Failed
from src.ipc.messages.ocr import OcrLine, OcrPage, OcrResult, OcrTimings, OcrWord, TextSource
from src.ocr import searchable
from src.ocr.guard import unguarded
from tests.unit.ocr import files

TIMES = OcrTimings(0.0, 0.0, 0.0)
WORDS = (("North", 100.0, 180.0), ("码头", 200.0, 260.0))


def box(left: float, right: float) -> tuple[tuple[float, float], ...]:
    return (left, 150.0), (right, 150.0), (right, 170.0), (left, 170.0)


def read(number: int, size: tuple[int, int], source: TextSource = "ocr", confidence: float | None = 0.9) -> OcrPage:
    """A page that was read at 144 dpi: two pixels a point."""
    words = tuple(OcrWord(word, box(left, right)) for word, left, right in WORDS)
    line = OcrLine("North 码头", confidence, box(100, 260), words)
    return OcrPage(number, OcrResult("rapidocr", line.text, (line,), *size, 0, 0.0, TIMES, source=source))


def scans(count: int = 1, **entries: Any) -> bytes:
    """Pages of 400 x 300 points with a picture, and these entries in each page's dictionary."""
    out = io.BytesIO()
    with pikepdf.open(io.BytesIO(files.scan(["x"] * count))) as document:
        for page in document.pages:
            page.mediabox = pikepdf.Array([0, 0, 400, 300])
            for name, value in entries.items():
                page.obj["/" + name] = value
        document.save(out)
    return out.getvalue()


def write(data: bytes, *pages: OcrPage, password: str = "") -> bytes:
    made = searchable.write(data, password, pages, unguarded)
    with pikepdf.open(io.BytesIO(made), password=password) as document:
        assert document.check_pdf_syntax() == []
    return made


def places(data: bytes, number: int = 0) -> list[tuple[str, list[float]]]:
    """Each word of a page with its corners, as another program finds them on the page as it is shown."""
    document = pypdfium2.PdfDocument(data)
    page = document[number]
    text = page.get_textpage()
    width, height = page.get_size()
    found = []
    for word in text.get_text_range().split():
        at = text.get_text_range().index(word)
        boxes = [text.get_charbox(at + step, loose=True) for step in range(len(word))]
        left, bottom = min(b[0] for b in boxes), min(b[1] for b in boxes)
        right, top = max(b[2] for b in boxes), max(b[3] for b in boxes)
        found.append((word, [left, bottom, right, top]))
    assert width
    assert height
    document.close()
    return found


def size(data: bytes, number: int = 0) -> tuple[float, float]:
    document = pypdfium2.PdfDocument(data)
    found: tuple[float, float] = document[number].get_size()
    document.close()
    return found


def test_words_are_found_where_the_scan_shows_them() -> None:
    """To within two points, in any script; the page's size stays."""
    made = write(scans(), read(0, (800, 600)))
    (north, first), (pier, second) = places(made)
    assert (north, pier) == ("North", "码头")
    assert first == pytest.approx([50, 300 - 85, 90, 300 - 75], abs=2)
    assert second == pytest.approx([100, 300 - 85, 130, 300 - 75], abs=2)
    assert size(made) == (400, 300)


@pytest.mark.parametrize(
    ("turned", "pixels", "expected"),
    [
        (90, (600, 800), [400 - (400 - 75), 50, 400 - (400 - 85), 90]),
        (180, (800, 600), [400 - 90, 75, 400 - 50, 85]),
        (270, (600, 800), [400 - 85, 300 - 90, 400 - 75, 300 - 50]),
    ],
)
def test_a_turned_page_stays_turned(turned: int, pixels: tuple[int, int], expected: list[float]) -> None:
    """Positions are of the page as it is shown, the text is in its own coordinates."""
    made = write(scans(Rotate=turned), read(0, pixels))
    assert places(made)[0][1] == pytest.approx(expected, abs=2)
    assert size(made) == ((300, 400) if turned % 180 else (400, 300))


def test_a_cropped_page_stays_cropped() -> None:
    """Positions are from the corner of what is shown."""
    made = write(scans(CropBox=pikepdf.Array([20, 30, 320, 230])), read(0, (600, 400)))
    assert places(made)[0][1] == pytest.approx([70, 30 + 200 - 85, 110, 30 + 200 - 75], abs=2)
    assert size(made) == (300, 200)


def test_a_turn_may_be_inherited() -> None:
    """From the tree of pages, as may its resources."""
    out = io.BytesIO()
    with pikepdf.open(io.BytesIO(scans())) as document:
        document.Root.Pages["/Rotate"] = 180
        document.Root.Pages["/Resources"] = document.pages[0].obj["/Resources"]
        del document.pages[0].obj["/Resources"]
        document.save(out)
    made = write(out.getvalue(), read(0, (800, 600)))
    assert places(made)[0][1] == pytest.approx([310, 75, 350, 85], abs=2)
    document = pypdfium2.PdfDocument(made)
    assert [found.get_px_size() for found in document[0].get_objects(filter=[pypdfium2.raw.FPDF_PAGEOBJ_IMAGE])]
    document.close()


def test_a_digital_page_is_not_touched() -> None:
    """What it draws stays byte for byte; a scanned page beside it gets its text."""
    data = files.pdf(["The north pier is closed", "second"])
    made = write(data, read(0, (800, 600), "text_layer", None), read(1, (800, 600)))
    with pikepdf.open(io.BytesIO(data)) as before, pikepdf.open(io.BytesIO(made)) as after:
        assert after.pages[0].Contents.read_bytes() == before.pages[0].Contents.read_bytes()
        assert dict(after.pages[0].Resources.Font).keys() == {"/F"}
    assert [word for word, _ in places(made, 1)] == ["second", "North", "码头"]


def test_of_a_mixed_page_only_what_ocr_read_is_added() -> None:
    """Its own text is there already: it has no confidence."""
    page = read(0, (800, 600), "mixed", None)
    assert isinstance(page.outcome, OcrResult)
    assert [word for word, _ in places(write(files.pdf(["digital text"]), page))] == ["digital", "text"]


def test_pages_that_failed_or_were_not_asked_for() -> None:
    """The first stay as they are, the others are left out."""
    failed = OcrPage(2, Failed("invalid_document", "The page is damaged."))
    made = write(scans(4), read(1, (800, 600)), failed)
    assert [word for word, _ in places(made, 0)] == ["North", "码头"]
    assert places(made, 1) == []
    with pikepdf.open(io.BytesIO(made)) as document:
        assert len(document.pages) == 2


def test_what_the_page_leaves_behind_does_not_move_the_text() -> None:
    """A page may end in a graphics state of its own: unbalanced, scaled, and in the middle of a text."""
    out = io.BytesIO()
    with pikepdf.open(io.BytesIO(scans())) as document:
        document.pages[0].contents_add(b"q 3 0 0 3 100 100 cm")
        document.save(out)
    assert places(write(out.getvalue(), read(0, (800, 600))))[0][1] == pytest.approx([50, 215, 90, 225], abs=2)


@pytest.mark.parametrize("revision", [4, 6])
def test_a_locked_pdf_stays_locked(revision: Any) -> None:
    """With the same passwords."""
    out = io.BytesIO()
    with pikepdf.open(io.BytesIO(scans())) as document:
        document.save(out, encryption=pikepdf.Encryption(owner="boss", user="secret", R=revision))
    made = write(out.getvalue(), read(0, (800, 600)), password="secret")  # noqa: S106
    with pytest.raises(pikepdf.PasswordError):
        pikepdf.open(io.BytesIO(made))


@pytest.mark.parametrize("data", [b"%PDF-1.7\nnothing", b"", b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog >>\nendobj\n"])
def test_a_pdf_that_qpdf_cannot_read_is_the_documents_fault(data: bytes) -> None:
    """No error of a library gets out."""
    with pytest.raises(InvalidDocument, match="too damaged"):
        searchable.write(data, "", [read(0, (800, 600))], unguarded)


def test_a_rejected_layer_goes_and_what_shows_stays() -> None:
    """Another program's invisible text is not found beside what was read; the page looks as before."""
    drawn = b"q BT /F 14 Tf 60 700 Td (Shown) Tj 3 Tr 0 -20 Td (gqebftr) Tj ET Q BT /F 14 Tf 60 600 Td (Too) Tj ET"
    out = io.BytesIO()
    with pikepdf.open(io.BytesIO(files.pdf(["x"]))) as document:
        document.pages[0].obj["/Contents"] = document.make_stream(drawn)
        document.save(out)
    sources: tuple[tuple[TextSource, bool], ...] = (("ocr", True), ("text_layer", False))
    for source, rejected in sources:
        page = pypdfium2.PdfDocument(write(out.getvalue(), read(0, (1190, 1684), source)))[0]
        text = page.get_textpage().get_text_range()
        assert ("gqebftr" in text, "Too" in text, "North" in text) == (not rejected, not rejected, rejected)
        as_given = pypdfium2.PdfDocument(out.getvalue())[0].render().to_numpy()
        assert np.array_equal(page.render().to_numpy(), as_given)
