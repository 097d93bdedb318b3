"""Image files as documents: one page, or the frames of a TIFF; and ZIP archives of them. In an OCR worker only."""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from pathlib import PurePosixPath

from typing_extensions import override

from src.documents import kinds
from src.errors import InvalidDocument, InvalidImage
from src.ocr import documents
from src.ocr.documents import Document, DocumentLimits
from src.ocr.reading import Pixels

_CHUNK = 1 << 20
_MAX_ENTRIES = 100_000
_UNREADABLE = (OSError, RuntimeError, ValueError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error)


class ImageFile(Document):
    """One image: one page, or, of a TIFF, as many as it has frames. Of an animation, the first frame."""

    kind = ""
    pages = 0

    def __init__(self, kind: str, data: bytes, limits: DocumentLimits) -> None:
        self.kind = kind
        self._data = data
        self._limits = limits
        self.pages = documents.count_frames(data, limits.max_pages) if kind == "tiff" else 1

    def close(self) -> None:
        self._data = b""

    @override
    def pixels(self, number: int, dpi: int) -> Pixels:
        limit = self._limits.max_megapixels
        return documents.decode(self._data, base64_text=False, max_megapixels=limit, frame=number)

    @override
    def text(self, number: int, dpi: int) -> None:
        return None

    @override
    def dpi(self, number: int, dpi: int) -> int | None:
        return None


class ZipArchive(Document):
    """A ZIP archive: each file is a page, in natural sort order; nothing is written to disk."""

    kind = "zip"
    pages = 0

    def __init__(self, data: bytes, limits: DocumentLimits) -> None:
        self._limits = limits
        try:
            self._archive = zipfile.ZipFile(io.BytesIO(data))
            self._members = _members(self._archive)
        except _UNREADABLE:
            raise InvalidDocument("The ZIP archive is damaged or truncated.", param="file") from None
        self.pages = len(self._members)
        if not any(self._kind(member) for member in self._members[: limits.max_pages]):
            raise InvalidDocument("The ZIP archive contains no images.", param="file")

    def close(self) -> None:
        self._archive.close()

    @override
    def pixels(self, number: int, dpi: int) -> Pixels:
        data = self._expand(self._members[number], self._limits.max_member_bytes)
        return documents.decode(data, base64_text=False, max_megapixels=self._limits.max_megapixels)

    @override
    def text(self, number: int, dpi: int) -> None:
        return None

    @override
    def dpi(self, number: int, dpi: int) -> int | None:
        return None

    def _kind(self, member: zipfile.ZipInfo) -> str | None:
        try:
            with self._archive.open(member) as file:
                return kinds.kind(file.read(kinds.HEAD_BYTES))
        except _UNREADABLE:
            return None

    def _expand(self, member: zipfile.ZipInfo, most: int) -> bytes:
        """Counted while expanding: the sizes in the archive's headers may be wrong."""
        data = bytearray()
        try:
            with self._archive.open(member) as file:
                while (chunk := file.read(_CHUNK)) and len(data) <= most:
                    data += chunk
        except _UNREADABLE:
            text = "The file in the ZIP archive is damaged, encrypted, or compressed with an unknown method."
            raise InvalidImage(text, param="file") from None
        if len(data) > most:
            raise InvalidImage(f"The file in the ZIP archive expands to more than {most >> 20} MiB.", param="file")
        return bytes(data)


def _members(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """The image files: no folders, no metadata of operating systems."""
    entries = archive.infolist()
    if len(entries) > _MAX_ENTRIES:
        raise InvalidDocument(f"The ZIP archive has more than {_MAX_ENTRIES} entries.", param="file")
    return sorted((entry for entry in entries if not _is_metadata(entry)), key=lambda entry: _natural(entry.filename))


def _is_metadata(entry: zipfile.ZipInfo) -> bool:
    parts = PurePosixPath(entry.filename).parts
    return entry.is_dir() or "__MACOSX" in parts or not parts or parts[-1].startswith(".") or parts[-1] == "Thumbs.db"


def _natural(name: str) -> list[tuple[int, int, str]]:
    """`page-9` before `page-10`."""
    parts = re.findall(r"\d{1,18}|\D+|\d+", name.lower())
    return [(0, int(part), "") if part.isdigit() and part.isascii() else (1, 0, part) for part in parts]
