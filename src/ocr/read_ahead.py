"""The next pages of a document, read together with the one that was asked for, by a recognizer that can do so.

Belongs to a worker's one thread. Which pages come next the broker says (`OcrRequest.ahead`), and only when they will
come to this worker; what has been read lies here until it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable

from src.ipc.messages.ocr import OcrOptions, OcrRequest
from src.ocr.reading import Pixels, Reading
from src.ocr.recognizers import BatchRecognizer

_Key = tuple[str, int, OcrOptions]


class Ahead:
    """Holds one batch's readings."""

    def __init__(self, recognizer: BatchRecognizer) -> None:
        self._recognizer = recognizer
        self._ready: dict[_Key, Reading] = {}
        self._failed = False  # a batch has raised: that page alone is lost, and from then on each is read alone

    def read(self, request: OcrRequest, page: Pixels, pixels: Callable[[int], Pixels | None]) -> Reading:
        """The page's; `pixels` gives another page of the document, or None if that needs no reading."""
        ready = self._ready.pop((request.path, request.page, request.options), None)
        if ready is not None:
            return ready
        others = {number: found for number in self._wanted(request) if (found := pixels(number)) is not None}
        if not others:
            return self._recognizer.read(page, request.options.language)
        self._failed = True
        first, *rest = self._recognizer.read_many([page, *others.values()])
        self._failed = False
        keys = [(request.path, number, request.options) for number in others]
        self._ready = dict(zip(keys, rest, strict=True))
        return first

    def _wanted(self, request: OcrRequest) -> tuple[int, ...]:
        return () if self._failed else request.ahead[: self._recognizer.at_once - 1]
