"""Image files as documents: one page, or the frames of a TIFF; and ZIP archives of them. In an OCR worker only."""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from pathlib import PurePosixPath

from src.documents import kinds
from src.errors import InvalidDocument, InvalidImage
from src.ocr import documents
from src.ocr.limits import DocumentLimits
from src.ocr.reading import Pixels

_CHUNK = 1 << 20
_MOST_ENTRIES = 100_000
_UNREADABLE = (OSError, RuntimeError, ValueError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error)


class ImageFile:
    """One image: one page, or, of a TIFF, as many as it has frames. Of an animation, the first frame."""

    def __init__(self, kind: str, data: bytes, limits: DocumentLimits) -> None:
        self.kind = kind
        self._data = data
        self._limits = limits
        self.pages = documents.count_frames(data, limits.max_pages) if kind == "tiff" else 1

    def close(self) -> None:
        self._data = b""

    def pixels(self, number: int, dpi: int) -> Pixels:  # noqa: ARG002  # it has its own resolution
        limit = self._limits.max_megapixels
        return documents.decode(self._data, base64_text=False, max_megapixels=limit, frame=number)

    def text(self, number: int, dpi: int) -> None:  # noqa: ARG002  # pixels only
        return None

    def dpi(self, number: int, dpi: int) -> int | None:  # noqa: ARG002  # as above
        return None


class ZipOfImages:
    """An archive: each file in it is a page, in the order people sort names; nothing is ever written to disk."""

    kind = "zip"

    def __init__(self, data: bytes, limits: DocumentLimits) -> None:
        self._limits = limits
        try:
            self._archive = zipfile.ZipFile(io.BytesIO(data))
            self._members = _members(self._archive)
        except _UNREADABLE:
            raise InvalidDocument("The ZIP archive is damaged or truncated.", param="file") from None
        self.pages = len(self._members)
        if not any(self._kind(member) for member in self._members[: limits.max_pages]):
            raise InvalidDocument("The ZIP archive holds no images.", param="file")

    def close(self) -> None:
        self._archive.close()

    def pixels(self, number: int, dpi: int) -> Pixels:  # noqa: ARG002  # images have their own resolution
        data = self._expand(self._members[number], self._limits.max_member_bytes)
        return documents.decode(data, base64_text=False, max_megapixels=self._limits.max_megapixels)

    def text(self, number: int, dpi: int) -> None:  # noqa: ARG002  # as above
        return None

    def dpi(self, number: int, dpi: int) -> int | None:  # noqa: ARG002  # as above
        return None

    def _kind(self, member: zipfile.ZipInfo) -> str | None:
        try:
            with self._archive.open(member) as file:
                return kinds.kind(file.read(kinds.HEAD_BYTES))
        except _UNREADABLE:
            return None

    def _expand(self, member: zipfile.ZipInfo, most: int) -> bytes:
        """Counted as it comes: what an archive says of its sizes need not be true."""
        data = bytearray()
        try:
            with self._archive.open(member) as file:
                while (chunk := file.read(_CHUNK)) and len(data) <= most:
                    data += chunk
        except _UNREADABLE:
            text = "The file in the ZIP archive is damaged, encrypted, or packed in an unknown way."
            raise InvalidImage(text, param="file") from None
        if len(data) > most:
            raise InvalidImage(f"The file in the ZIP archive expands to more than {most >> 20} MiB.", param="file")
        return bytes(data)


def _members(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """The files that are meant: not folders, nor what systems leave behind."""
    entries = archive.infolist()
    if len(entries) > _MOST_ENTRIES:
        raise InvalidDocument(f"The ZIP archive has more than {_MOST_ENTRIES} entries.", param="file")
    return sorted((entry for entry in entries if not _is_litter(entry)), key=lambda entry: _natural(entry.filename))


def _is_litter(entry: zipfile.ZipInfo) -> bool:
    parts = PurePosixPath(entry.filename).parts
    return entry.is_dir() or "__MACOSX" in parts or not parts or parts[-1].startswith(".") or parts[-1] == "Thumbs.db"


def _natural(name: str) -> list[tuple[int, int, str]]:
    """`page-9` before `page-10`."""
    parts = re.findall(r"\d{1,18}|\D+|\d+", name.lower())
    return [(0, int(part), "") if part.isdigit() and part.isascii() else (1, 0, part) for part in parts]
