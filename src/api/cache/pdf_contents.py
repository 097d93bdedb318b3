"""What was made of PDFs for chat, by owner, hash and form, so that each is read or rendered once. Web process.

In memory, on one event loop; bounded in bytes, each owner with its share. `openai.pdf_reader` asks it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, NamedTuple

from gevent.event import Event

from src.api.cache.shares import SharedStore
from src.ipc.messages.chat import ImagePart
from src.ipc.messages.ocr import OcrDocument, OcrPage

# a document, and the seconds until it has to be read
ReadPages = Callable[[OcrDocument, float], list[OcrPage]]
PdfForm = Literal["text", "pictures"]


class PdfKey(NamedTuple):
    """Whose PDF it is, the hash of its base64, and what is made of its pages."""

    owner: str
    digest: str
    form: PdfForm = "text"


@dataclass(frozen=True)
class PdfContent:
    """A PDF's pages in their order, as texts and pictures. `lasting`: reading it again would give the same."""

    parts: tuple[str | ImagePart, ...]
    pages: int
    lasting: bool = True

    @property
    def text(self) -> str:
        return "".join(part for part in self.parts if isinstance(part, str))

    @property
    def size(self) -> int:
        """Bytes in memory, about."""
        return sum(len(part.encode()) if isinstance(part, str) else len(part.data) for part in self.parts)


class PdfContents:
    """What was read for all requests of this process, what is being read now, and how it is read."""

    def __init__(self, max_bytes: int, read_pages: ReadPages) -> None:
        self.read_pages = read_pages
        self._kept: SharedStore[PdfContent] = SharedStore(max_bytes)
        self._running: dict[PdfKey, Event] = {}

    def get(self, key: PdfKey) -> PdfContent | None:
        return self._kept.get(key.owner, _entry(key))

    def running(self, key: PdfKey) -> Event | None:
        """Set once the request that reads it now has read it, or failed to."""
        return self._running.get(key)

    @contextmanager
    def reading(self, key: PdfKey) -> Iterator[None]:
        """The caller reads it; others wait for that."""
        over = self._running[key] = Event()
        try:
            yield
        finally:
            del self._running[key]
            over.set()

    def put(self, key: PdfKey, pdf: PdfContent) -> None:
        if pdf.lasting:
            self._kept.put(key.owner, _entry(key), pdf, pdf.size)


def _entry(key: PdfKey) -> str:
    return f"{key.form}:{key.digest}"
