"""Documents are opened by what they are; what is wrong with others is said in fixed texts, before it costs anything."""

from __future__ import annotations

import base64
import random
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from PIL import Image

from src.errors import InvalidDocument, InvalidImage
from src.ocr.documents import Document, DocumentLimits
from src.ocr.open_documents import OpenDocuments, open_document
from tests.unit.ocr import files
from tests.unit.ocr.test_guard import doubling

LETTER = "Dear harbour office\nthe north pier is closed\nuntil Thursday next week"


def opened(folder: Path, data: bytes, limits: DocumentLimits | None = None, *, base64_text: bool = False) -> Document:
    path = folder / "document"
    path.write_bytes(data)
    return open_document(path, limits or DocumentLimits(), base64_text=base64_text)


def test_a_pdf_gives_its_pages_as_pixels(tmp_path: Path) -> None:
    """A4 at 150 dpi is 1240 x 1754 pixels, dark on white."""
    document = opened(tmp_path, files.pdf([LETTER, LETTER]))
    page = document.pixels(1, 150)
    assert (document.kind, document.pages, page.shape) == ("pdf", 2, (1755, 1240, 3))
    assert page.max() == 255
    assert page.min() < 60


def test_a_pdf_gives_its_text_layer_with_polygons(tmp_path: Path) -> None:
    """The text layer comes as lines, placed in the pixels the page would be rendered to."""
    layer = opened(tmp_path, files.pdf([LETTER])).text(0, 150)
    assert layer is not None
    reading, size = layer.reading, layer.size
    assert layer.doubt == ""
    assert reading.text == LETTER
    assert size == (1240, 1755)
    (left, top), _, (_, bottom), _ = reading.lines[0].polygon
    assert left == pytest.approx(60 * 150 / 72, abs=4)
    assert top < 72 * 150 / 72 < bottom + 3
    assert reading.lines[0].confidence is None


@pytest.mark.parametrize("text", ["", "\x01\x02\x03\x04\x05\x06\x07\x08\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17"])
def test_a_poor_text_layer_is_not_used(tmp_path: Path, text: str) -> None:
    """No text, or characters without meaning: the page is read from its pixels."""
    assert opened(tmp_path, files.pdf([text])).text(0, 150) is None


def test_a_scan_has_no_text_layer(tmp_path: Path) -> None:
    """A picture of text is no text."""
    assert opened(tmp_path, files.scan([LETTER])).text(0, 150) is None


def test_base64_documents_are_opened_too(tmp_path: Path) -> None:
    """A data URL in the file is decoded where it is opened."""
    text = b"data:application/pdf;base64," + base64.b64encode(files.pdf([LETTER]))
    assert opened(tmp_path, text, base64_text=True).pages == 1


def test_the_frames_of_a_tiff_are_pages(tmp_path: Path) -> None:
    """Each frame is a page of its own size."""
    document = opened(tmp_path, files.tiff(3))
    assert [document.pixels(number, 150).shape[1] for number in range(document.pages)] == [10, 11, 12]


def test_the_images_in_a_zip_are_pages(tmp_path: Path) -> None:
    """In the order people count, without folders and what systems leave behind."""
    names = ["page-10.png", "page-9.png", "__MACOSX/page-9.png", ".DS_Store", "Thumbs.db", "a/"]
    data = {name: files.png(Image.new("L", (20 + at, 9))) for at, name in enumerate(names)}
    document = opened(tmp_path, files.zipped(data))
    assert [document.pixels(number, 150).shape[1] for number in range(document.pages)] == [21, 20]


def test_other_files_in_a_zip_fail_alone(tmp_path: Path) -> None:
    """It is a page with an error, and the others are read."""
    document = opened(tmp_path, files.zipped({"1.png": files.png(Image.new("L", (9, 9))), "2.txt": b"hello"}))
    assert document.pages == 2
    assert document.pixels(0, 150).shape == (9, 9, 3)
    with pytest.raises(InvalidDocument, match="not a PDF, PNG"):
        document.pixels(1, 150)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "empty"),
        (b"<html><img src=x>", "not a PDF"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a PDF"),
        (files.encrypted_pdf(), "encrypted"),
        (b"%PDF-1.7\nnothing of a PDF follows", "damaged or truncated"),
        (files.zipped({"readme.txt": b"no images"}), "contains no images or PDFs"),
        (files.zipped({"1.png": b"x" * 99})[:40], "damaged or truncated"),
        (files.zipped({}), "contains no images or PDFs"),
    ],
    ids=["empty", "html", "svg", "encrypted", "cut", "zip of texts", "cut zip", "empty zip"],
)
def test_unreadable_documents_are_errors(tmp_path: Path, data: bytes, says: str) -> None:
    """In our words, never a library's."""
    with pytest.raises(InvalidDocument, match=says):
        opened(tmp_path, data)


def test_a_broken_cross_reference_is_repaired(tmp_path: Path) -> None:
    """A PDF whose table is wrong is still the PDF people see in their viewers."""
    data = files.pdf([LETTER]).replace(b"startxref\n", b"startxref\n9999")
    layer = opened(tmp_path, data).text(0, 150)
    assert layer is not None
    assert layer[0].text == LETTER


def test_filled_form_fields_are_read(tmp_path: Path) -> None:
    """Fields are part of the page people see, in pixels and as text."""
    document = opened(tmp_path, files.filled_form("Calloway, harbour master"))
    layer = document.text(0, 150)
    assert layer is not None
    assert layer[0].text == "Calloway, harbour master"
    assert document.pixels(0, 150).min() < 60


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_text_of_a_rotated_page_is_read(tmp_path: Path, rotation: int) -> None:
    """Text that lies on its side is turned, like a scan; what stands upright only by /Rotate is read as it stands."""
    turned = files.pdf([LETTER]).replace(b"/Parent 2 0 R", b"/Parent 2 0 R /Rotate %d" % rotation, 1)
    lying = opened(tmp_path, turned).text(0, 72)
    assert lying is not None
    assert (lying[0].text, lying[0].rotation) == (LETTER, 360 - rotation)
    (left, top), (right, bottom), *_ = lying[0].lines[0].polygon  # from the line's start
    assert {90: left == right and top < bottom, 180: left > right, 270: top > bottom}[rotation]
    matrix = {90: b"0 1 -1 0 100 100 Tm", 180: b"-1 0 0 -1 500 700 Tm", 270: b"0 -1 1 0 100 700 Tm"}[rotation]
    upright = files.pdf(["The north pier is closed"]).replace(b"1 0 0 1 60 770 Tm", matrix.ljust(17))
    upright = upright.replace(b"/Parent 2 0 R", b"/Parent 2 0 R /Rotate %d" % rotation, 1)
    layer = opened(tmp_path, upright).text(0, 72)
    assert layer is not None
    (left, top), (right, _), (_, bottom), _ = layer[0].lines[0].polygon
    assert right - left > 5 * (bottom - top)


@pytest.mark.parametrize(
    "make", [lambda: files.pdf([LETTER]), lambda: files.scan(["x"]), lambda: files.filled_form("x")]
)
def test_damage_in_a_pdf_is_a_client_error(tmp_path: Path, make: Callable[[], bytes]) -> None:
    """Files scribbled on anywhere are read or refused, and nothing else is raised."""
    whole, dice = make(), random.Random(5)
    for _ in range(60):
        data = bytearray(whole)
        for _ in range(dice.randrange(1, 40)):
            data[dice.randrange(5, len(data))] = dice.randrange(256)
        with suppress(InvalidDocument, InvalidImage):
            document = opened(tmp_path, bytes(data))
            document.text(0, 50)
            document.pixels(0, 50)
            document.close()


def test_a_huge_page_is_rendered_small(tmp_path: Path) -> None:
    """A page of 35,000 pixels costs what a large page costs; the resolution that was used is told."""
    document = opened(tmp_path, files.pdf([LETTER], size=(16800, 16800)))
    assert max(document.pixels(0, 150).shape) <= 5000
    dpi = document.dpi(0, 150)
    assert dpi is not None
    assert dpi < 25


def test_a_huge_image_in_a_page_is_rejected_before_decoding(tmp_path: Path) -> None:
    """What a page would have to decode is known from the file."""
    with pytest.raises(InvalidDocument, match=r"30000 × 30000 pixels, .*; OCR_MAX_IMAGE_MB allows 256"):
        opened(tmp_path, files.pdf_with_picture(30_000, 30_000)).pixels(0, 150)


def test_endless_frames_are_counted_to_the_limit_only(tmp_path: Path) -> None:
    """Ten thousand frames are known to be too many after a few."""
    assert opened(tmp_path, files.endless_tiff(10_000), DocumentLimits(max_pages=20)).pages == 21


def test_a_zip_bomb_stops_at_the_limit(tmp_path: Path) -> None:
    """What a file expands to is counted as it comes."""
    bomb = files.zipped({"1.png": files.png(Image.new("L", (9, 9))) + b"\0" * (4 << 20)}, zipfile.ZIP_DEFLATED)
    assert len(bomb) < 10_000
    with pytest.raises(InvalidImage, match="expands to more than 1 MiB"):
        opened(tmp_path, bomb, DocumentLimits(max_member_bytes=1 << 20)).pixels(0, 150)


def test_the_last_documents_stay_open(tmp_path: Path) -> None:
    """The same path is the same document, also when its file is gone; the third closes the first."""
    shelf = OpenDocuments(DocumentLimits())
    paths = [tmp_path / name for name in "abc"]
    for path in paths:
        path.write_bytes(files.pdf([LETTER]))
    first = shelf.get(str(paths[0]), base64_text=False)
    paths[0].unlink()
    assert shelf.get(str(paths[0]), base64_text=False) is first
    shelf.get(str(paths[1]), base64_text=False)
    shelf.get(str(paths[2]), base64_text=False)
    with pytest.raises(InvalidDocument, match="deleted"):
        shelf.get(str(paths[0]), base64_text=False)
    shelf.close()


@pytest.mark.parametrize(("levels", "refused"), [(5, False), (30, True)])
def test_nested_forms_are_counted_before_they_are_drawn(tmp_path: Path, levels: int, *, refused: bool) -> None:
    """2^30 drawings are refused at once, by the document's structure; a few nested forms are a page like any other."""
    document = opened(tmp_path, doubling(levels))
    if not refused:
        assert document.text(0, 150) is None
        return
    with pytest.raises(InvalidDocument, match="draws forms more than 200000 times"):
        document.text(0, 150)
