"""Detects the kind of an image or document by its first bytes; nothing is decoded.

The web process rejects other files, the OCR worker selects the decoder. Pure functions.
"""

from __future__ import annotations

import binascii
from typing import Literal

DocumentKind = Literal["png", "jpeg", "webp", "tiff", "bmp", "gif", "heif", "avif", "pdf", "zip"]

# kinds with several pages; of animated images the first frame is read
PAGED: tuple[DocumentKind, ...] = ("pdf", "zip", "tiff")
FORMATS = "PDF, PNG, JPEG, WebP, TIFF, BMP, GIF, HEIC, AVIF or ZIP"

HEAD_BYTES = 1040  # a PDF's header begins within the first 1024 bytes

_SIGNATURES: tuple[tuple[bytes, DocumentKind], ...] = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"II+\0", "tiff"),  # BigTIFF
    (b"MM\0+", "tiff"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"%PDF-", "pdf"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),  # an empty one
)
_PDF_HEADER = b"%PDF-"
_HEIF_BRANDS = frozenset({b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"})
_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_BMP_HEADER_SIZES = (12, 40, 52, 56, 64, 108, 124)
_DATA_URL_HEADER = 256


def kind(head: bytes) -> DocumentKind | None:
    """The format of a file that begins with `head` (`HEAD_BYTES` are enough), or None if unsupported."""
    for signature, name in _SIGNATURES:
        if head.startswith(signature):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[4:8] == b"ftyp":
        return _by_brand(head)
    if _is_bmp(head):
        return "bmp"
    return "pdf" if _PDF_HEADER in head[: 1024 + len(_PDF_HEADER) - 1] else None  # after junk, as every reader allows


def _by_brand(head: bytes) -> DocumentKind | None:
    """HEIF and AVIF share a container; its first box lists the brands that the file follows."""
    box = head[8 : min(int.from_bytes(head[:4], "big"), len(head))]
    brands = {box[at : at + 4] for at in range(0, len(box), 4) if at != 4}  # the second field is a version
    if brands & _AVIF_BRANDS:
        return "avif"
    return "heif" if brands & _HEIF_BRANDS else None


def _is_bmp(head: bytes) -> bool:
    """`BM` alone may be text; the header size decides."""
    return head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADER_SIZES


def base64_start(text: bytes) -> int:
    """Where the base64 begins in bare base64 or in a data URL; -1 for a data URL that holds none."""
    if text[:5].lower() != b"data:":
        return 0
    comma = text.find(b",", 0, _DATA_URL_HEADER)
    return comma + 1 if text[max(0, comma - 7) : max(0, comma)].lower() == b";base64" else -1


def base64_head(text: bytes) -> bytes:
    """The first `HEAD_BYTES` bytes that base64 text or a data URL stands for; fewer, or none, if it is no base64."""
    start = base64_start(text)
    if start < 0:
        return b""
    symbols = b"".join(text[start : start + 4 * HEAD_BYTES].split())
    try:
        return binascii.a2b_base64(symbols[: len(symbols) // 4 * 4])[:HEAD_BYTES]
    except binascii.Error:
        return b""
