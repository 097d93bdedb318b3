"""A worker's open documents: opening a large PDF costs more than reading a page, so the last ones stay open.

Used on the worker's only thread. The broker deletes the files; a document open here is closed when others are opened.
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

from src.documents import kinds
from src.errors import InvalidDocument
from src.ocr import documents
from src.ocr.archives import ZipArchive
from src.ocr.documents import Document, DocumentLimits
from src.ocr.frames import ImageFile
from src.ocr.guard import Guard, unguarded
from src.ocr.pdf import PdfFile

_OPEN = 2


class OpenDocuments:
    """The most recently used documents, by path."""

    def __init__(self, limits: DocumentLimits, guard: Guard = unguarded) -> None:
        self._limits = limits
        self._guard = guard
        self._open: OrderedDict[str, Document] = OrderedDict()

    def get(self, path: str, *, base64_text: bool, password: str = "") -> Document:
        """The document at a path, opened on demand.

        Raises:
            InvalidDocument, InvalidImage: it cannot be opened.
        """
        document = self._open.pop(path, None)
        if document is None:
            document = self._opened(Path(path), base64_text=base64_text, password=password)
        self._open[path] = document
        while len(self._open) > _OPEN:
            self._open.popitem(last=False)[1].close()
        return document

    def _opened(self, path: Path, *, base64_text: bool, password: str) -> Document:
        return open_document(path, self._limits, base64_text=base64_text, guard=self._guard, password=password)

    def close(self) -> None:
        while self._open:
            self._open.popitem()[1].close()


def open_document(
    path: Path,
    limits: DocumentLimits,
    *,
    base64_text: bool = False,
    guard: Guard = unguarded,
    password: str = "",
) -> Document:
    """The kind is detected by the first bytes alone, never by the file's name."""
    try:
        with path.open("rb") as file:
            head = file.read(kinds.HEAD_BYTES)
    except FileNotFoundError:
        raise InvalidDocument("The document was deleted: its request has ended.", param="file") from None
    data = documents.from_base64(path.read_bytes()) if base64_text else None
    kind = kinds.kind(head if data is None else data[: kinds.HEAD_BYTES])
    if kind == "pdf":
        return PdfFile(path if data is None else data, limits, guard, password)
    data = path.read_bytes() if data is None else data
    if kind == "zip":
        return ZipArchive(data, limits, lambda member: _open_bytes(member, limits, guard, password))
    return _open_bytes(data, limits, guard, password)


def open_image(data: bytes, limits: DocumentLimits) -> ImageFile:
    """The only page of an image file. Raises InvalidImage when it is none."""
    return ImageFile(documents.image_kind(data), data, limits)


def _open_bytes(data: bytes, limits: DocumentLimits, guard: Guard, password: str) -> Document:
    """A PDF or an image, which may be a file of an archive."""
    kind = kinds.kind(data[: kinds.HEAD_BYTES])
    if kind == "pdf":
        return PdfFile(data, limits, guard, password)
    if kind is None or kind == "zip":
        what = "is empty (0 bytes)" if not data else f"is not a {kinds.FORMATS.removesuffix(' or ZIP')} file"
        raise InvalidDocument(f"The file {what}.", param="file")
    return ImageFile(kind, data, limits)
