"""The text of PDFs that were read for chat, by owner and hash, so that each is read once. Web process.

In memory, on one event loop; bounded in bytes, each owner with its share. `openai.pdf_reader` asks it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from gevent.event import Event

from src.api.cache.shares import SharedStore
from src.ipc.messages.ocr import OcrDocument, OcrPage

# a document, and the seconds until it has to be read
ReadPages = Callable[[OcrDocument, float], list[OcrPage]]


class PdfKey(NamedTuple):
    """Whose PDF it is, and the hash of its base64."""

    owner: str
    digest: str


@dataclass(frozen=True)
class PdfText:
    """`lasting`: reading it again would give the same."""

    text: str
    pages: int
    lasting: bool = True


class PdfTexts:
    """What was read for all requests of this process, what is being read now, and how it is read."""

    def __init__(self, max_bytes: int, read_pages: ReadPages) -> None:
        self.read_pages = read_pages
        self._kept: SharedStore[PdfText] = SharedStore(max_bytes)
        self._running: dict[PdfKey, Event] = {}

    def get(self, key: PdfKey) -> PdfText | None:
        return self._kept.get(*key)

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

    def put(self, key: PdfKey, pdf: PdfText) -> None:
        if pdf.lasting:
            self._kept.put(*key, pdf, sys.getsizeof(pdf.text))
