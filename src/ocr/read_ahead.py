"""Read-ahead: reads the next pages of a document in one batch with the requested one.

Used on a worker's only thread. The broker names the next pages (`OcrRequest.read_ahead`) only when they will be sent to
this worker; their results are kept until requested.
"""

from __future__ import annotations

from collections.abc import Callable

from src.ipc.messages.ocr import OcrOptions, OcrRequest
from src.ocr.reading import BatchRecognizer, Pixels, Reading

_Key = tuple[str, int, OcrOptions]


class ReadAhead:
    """Keeps the results of one batch."""

    def __init__(self, recognizer: BatchRecognizer) -> None:
        self._recognizer = recognizer
        self._ready: dict[_Key, Reading] = {}
        self._failed = False  # a batch raised: its first page failed, later pages are read one by one

    def read(self, request: OcrRequest, page: Pixels, pixels: Callable[[int], Pixels | None]) -> Reading:
        """The page's result. `pixels` returns another page of the document, or None if it needs no OCR."""
        ready = self._ready.pop((request.path, request.page, request.options), None)
        if ready is not None:
            return ready
        others = {number: found for number in self._next_numbers(request) if (found := pixels(number)) is not None}
        if not others:
            return self._recognizer.read(page, request.options.language)
        self._failed = True
        first, *rest = self._recognizer.read_many([page, *others.values()])
        self._failed = False
        keys = [(request.path, number, request.options) for number in others]
        self._ready = dict(zip(keys, rest, strict=True))
        return first

    def _next_numbers(self, request: OcrRequest) -> tuple[int, ...]:
        return () if self._failed else request.read_ahead[: self._recognizer.at_once - 1]
