"""ZIP archives as documents: the pages of the files in it, in natural order; nothing is written to disk.

In an OCR worker only. Images are pages, frames of TIFFs and pages of PDFs too; any other file is a page with an error.
"""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Callable
from pathlib import PurePosixPath

from typing_extensions import override

from src.documents import kinds
from src.errors import InvalidDocument, InvalidImage, ServiceError
from src.ipc.messages.ocr import OcrWarning
from src.ocr.documents import Document, DocumentLimits
from src.ocr.reading import Pixels, TextLayer
from src.ocr.structure.words import Word

OpenMember = Callable[[bytes], Document]

_CHUNK = 1 << 20
_MAX_ENTRIES = 100_000
_COUNTED_BYTES = 512 << 20  # what files with several pages may expand to together, to be counted
_SEVERAL = ("pdf", "tiff")
_UNREADABLE = (OSError, RuntimeError, ValueError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error)
# what is a ZIP archive inside, and no archive to its user
_OFFICE = {"word/": "Word", "xl/": "Excel", "ppt/": "PowerPoint", "META-INF/container.xml": "EPUB"}


class ZipArchive(Document):
    """`open_member`: opens a file of the archive, but no archive in the archive."""

    kind = "zip"
    pages = 0

    def __init__(self, data: bytes, limits: DocumentLimits, open_member: OpenMember) -> None:
        self._limits = limits
        self._open_member = open_member
        self._counted = 0
        self._current: tuple[str, Document] | None = None
        try:
            self._archive = zipfile.ZipFile(io.BytesIO(data))
            members = _members(self._archive)
        except _UNREADABLE:
            raise InvalidDocument("The ZIP archive is damaged or truncated.", param="file") from None
        if not any(self._kind(member) not in (None, "zip") for member in members[: limits.max_pages]):
            self.close()
            raise InvalidDocument("The ZIP archive contains no images or PDFs.", param="file")
        self._pages = self._list_pages(members)
        self.pages = len(self._pages)

    def close(self) -> None:
        self._close_current()
        self._archive.close()

    @override
    def pixels(self, number: int, dpi: int) -> Pixels:
        document, page = self._page(number)
        return document.pixels(page, dpi)

    @override
    def text(self, number: int, dpi: int) -> TextLayer | None:
        document, page = self._page(number)
        return document.text(page, dpi)

    @override
    def dpi(self, number: int, dpi: int) -> int | None:
        document, page = self._page(number)
        return document.dpi(page, dpi)

    @override
    def given_size(self, number: int) -> tuple[int, int] | None:
        document, page = self._page(number)
        return document.given_size(page)

    @override
    def words(self, number: int, dpi: int, rotation: int) -> list[Word]:
        document, page = self._page(number)
        return document.words(page, dpi, rotation)

    @override
    def warnings(self, number: int) -> tuple[OcrWarning, ...]:
        document, page = self._page(number)
        return document.warnings(page)

    # ---- the files

    def _list_pages(self, members: list[zipfile.ZipInfo]) -> list[tuple[zipfile.ZipInfo, int]]:
        """The file and its page for each page, at most one more than the limit."""
        found: list[tuple[zipfile.ZipInfo, int]] = []
        for member in members:
            if len(found) > self._limits.max_pages:
                break
            found += [(member, page) for page in range(self._count(member))]
        return found

    def _count(self, member: zipfile.ZipInfo) -> int:
        """One, unless it is known to have more: what cannot be counted is a page with an error, when it is read."""
        if self._kind(member) not in _SEVERAL or self._counted > _COUNTED_BYTES:
            return 1
        try:
            data = self._expand(member)
            self._counted += len(data)
            document = self._open_member(data)
        except ServiceError:
            return 1
        document.close()
        return document.pages

    def _page(self, number: int) -> tuple[Document, int]:
        """The file that holds a page, kept open until another one is requested."""
        member, page = self._pages[number]
        if self._current is None or self._current[0] != member.filename:
            self._close_current()
            self._current = member.filename, self._open_member(self._expand(member))
        return self._current[1], page

    def _close_current(self) -> None:
        if self._current is not None:
            self._current[1].close()
            self._current = None

    def _kind(self, member: zipfile.ZipInfo) -> str | None:
        try:
            with self._archive.open(member) as file:
                return kinds.kind(file.read(kinds.HEAD_BYTES))
        except _UNREADABLE:
            return None

    def _expand(self, member: zipfile.ZipInfo) -> bytes:
        """Counted while expanding: the sizes in the archive's headers may be wrong."""
        data, most = bytearray(), self._limits.max_member_bytes
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
    """The files: no folders, no metadata of operating systems. Raises InvalidDocument for an office document."""
    entries = archive.infolist()
    if len(entries) > _MAX_ENTRIES:
        raise InvalidDocument(f"The ZIP archive has more than {_MAX_ENTRIES} entries.", param="file")
    if (office := _office(entries)) is not None:
        raise InvalidDocument(f"The file is {office}, which has no pages yet; save it as a PDF.", param="file")
    return sorted((entry for entry in entries if not _is_metadata(entry)), key=lambda entry: _natural(entry.filename))


def _office(entries: list[zipfile.ZipInfo]) -> str | None:
    """What kind of office document it is: its pictures are not its pages."""
    names = {entry.filename for entry in entries}
    if "[Content_Types].xml" in names or "META-INF/container.xml" in names:
        return next((f"a {kind} file" for part, kind in _OFFICE.items() if any(map(_under(part), names))), None)
    return "an OpenDocument file" if {"mimetype", "content.xml"} <= names else None


def _under(part: str) -> Callable[[str], bool]:
    return lambda name: name.startswith(part)


def _is_metadata(entry: zipfile.ZipInfo) -> bool:
    parts = PurePosixPath(entry.filename).parts
    return entry.is_dir() or "__MACOSX" in parts or not parts or parts[-1].startswith(".") or parts[-1] == "Thumbs.db"


def _natural(name: str) -> list[tuple[int, int, str]]:
    """`page-9` before `page-10`."""
    parts = re.findall(r"\d{1,18}|\D+|\d+", name.lower())
    return [(0, int(part), "") if part.isdigit() and part.isascii() else (1, 0, part) for part in parts]
