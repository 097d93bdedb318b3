"""`ipc.images`: formats are told by their first bytes, in files and in base64 text."""

from __future__ import annotations

import base64
import io

import pytest
from PIL import Image

from src.documents import kinds


def encoded(pil_format: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (9, 5), "white").save(buffer, pil_format)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp", "tiff", "bmp", "gif", "avif"])
def test_each_format_is_detected_by_its_first_bytes(kind: str) -> None:
    """Every format we read is told from its first bytes alone."""
    assert kinds.kind(encoded(kind)[: kinds.HEAD_BYTES]) == kind


@pytest.mark.parametrize("data", [b"", b"BM", b"BMW is a car, not a picture", b"<svg/>", b"RIFF1234WAVE"])
def test_other_files_are_none(data: bytes) -> None:
    """What is no image of ours has no kind."""
    assert kinds.kind(data) is None


def test_other_image_formats_are_none() -> None:
    """ICO is an image, but none we promise to read."""
    assert kinds.kind(encoded("ico")) is None


def test_document_kinds_by_first_bytes() -> None:
    """What begins as one thing is that thing, whatever else a tool may find in it."""
    assert kinds.kind(b"%PDF-1.7\nPK\x03\x04") == "pdf"
    assert kinds.kind(b"PK\x03\x04%PDF-1.7") == "zip"


@pytest.mark.parametrize("junk", [1, 300, 1023])
def test_a_pdf_may_begin_after_junk(junk: int) -> None:
    """Its header stands within the first 1024 bytes, as every reader allows; what is another file stays that."""
    data = b"\r\n" * (junk // 2) + b"\n" * (junk % 2) + b"%PDF-1.7"
    assert kinds.kind(data[: kinds.HEAD_BYTES]) == "pdf"
    assert kinds.kind(b"GIF89a" + data) == "gif"


def test_a_pdf_header_after_a_kilobyte_is_none() -> None:
    """One that comes later is text about PDFs rather than one."""
    assert kinds.kind((b" " * 1024 + b"%PDF-1.7")[: kinds.HEAD_BYTES]) is None


@pytest.mark.parametrize(
    ("brands", "kind"),
    [
        ((b"heic", b"mif1"), "heif"),
        ((b"mif1", b"heix"), "heif"),
        ((b"mif1", b"avif", b"miaf"), "avif"),
        ((b"avis", b"msf1"), "avif"),
        ((b"isom", b"mp42"), None),
        ((b"jpeg", b"qt  "), None),
    ],
)
def test_heic_and_avif_are_told_by_their_brands(brands: tuple[bytes, ...], kind: str | None) -> None:
    """Both are boxes of the same container, as films are."""
    box = b"ftyp" + brands[0] + bytes(4) + b"".join(brands)
    assert kinds.kind((len(box) + 4).to_bytes(4, "big") + box + b"avif") == kind


@pytest.mark.parametrize("prefix", [b"", b"data:image/png;base64,", b"DATA:image/png;name=a.png;BASE64,"])
def test_base64_and_data_urls_show_their_head(prefix: bytes) -> None:
    """The kind is told from base64 text without decoding the whole, wrapped lines included."""
    data = encoded("png") * 4
    assert kinds.base64_head(prefix + base64.encodebytes(data)) == data[: kinds.HEAD_BYTES]


@pytest.mark.parametrize("text", [b"", b"data:image/png,raw", b"data:;base64", b"data:" + b"x" * 500, b"===="])
def test_no_base64_has_no_head(text: bytes) -> None:
    """Text that is no base64 gives nothing rather than an error."""
    assert kinds.base64_head(text) == b""
