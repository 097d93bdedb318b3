"""The documents a worker has open. Opening a large PDF costs more than one of its pages, so the last ones stay open.

Belongs to a worker's one thread. The broker deletes the files; a document still open here goes when others come.
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Protocol

from src.documents import kinds
from src.errors import InvalidDocument
from src.ocr import documents
from src.ocr.frames import ImageFile, ZipOfImages
from src.ocr.guard import Guard, unguarded
from src.ocr.limits import DocumentLimits
from src.ocr.pdf import PdfFile
from src.ocr.reading import Pixels, Reading

_OPEN = 2


class Document(Protocol):
    """Pages by number, from 0. `pages`: at most one more than the limit is counted."""

    @property
    def kind(self) -> str: ...
    @property
    def pages(self) -> int: ...
    def pixels(self, number: int, dpi: int) -> Pixels: ...
    def text(self, number: int, dpi: int) -> tuple[Reading, tuple[int, int]] | None: ...
    def dpi(self, number: int, dpi: int) -> int | None: ...
    def close(self) -> None: ...


class Shelf:
    """The last documents used, by path."""

    def __init__(self, limits: DocumentLimits, guard: Guard = unguarded) -> None:
        self._limits = limits
        self._guard = guard
        self._open: OrderedDict[str, Document] = OrderedDict()

    def get(self, path: str, *, base64_text: bool) -> Document:
        """The document in a file, opened if it is not.

        Raises:
            InvalidDocument, InvalidImage: when it cannot be.
        """
        document = self._open.pop(path, None)
        if document is None:
            document = open_document(Path(path), self._limits, base64_text=base64_text, guard=self._guard)
        self._open[path] = document
        while len(self._open) > _OPEN:
            self._open.popitem(last=False)[1].close()
        return document

    def close(self) -> None:
        while self._open:
            self._open.popitem()[1].close()


def open_document(
    path: Path, limits: DocumentLimits, *, base64_text: bool = False, guard: Guard = unguarded
) -> Document:
    """By its first bytes, and by nothing else: what a file is called, or also is, does not count."""
    try:
        with path.open("rb") as file:
            head = file.read(kinds.HEAD_BYTES)
    except FileNotFoundError:
        raise InvalidDocument("The document is gone: nobody wants it any more.", param="file") from None
    data = documents.from_base64(path.read_bytes()) if base64_text else None
    kind = kinds.kind(head if data is None else data[: kinds.HEAD_BYTES])
    if kind == "pdf":
        return PdfFile(path if data is None else data, limits, guard)
    data = path.read_bytes() if data is None else data
    if kind == "zip":
        return ZipOfImages(data, limits)
    if kind is None:
        what = "is empty (0 bytes)" if not data else f"is not a {kinds.FORMATS} file"
        raise InvalidDocument(f"The file {what}.", param="file")
    return ImageFile(kind, data, limits)
