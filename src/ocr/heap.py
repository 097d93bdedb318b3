"""Returns freed heap memory to the system after a large page (glibc malloc_trim). Runs in an OCR worker only.

Fragmentation makes a worker's peak memory grow from page to page. After small pages there is little to trim, and
trimming would slow each of them down.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import psutil

_KEPT_BYTES = 150 << 20


class Heap:
    """Created when the recognizer is warm: growth is measured from there."""

    def __init__(self, resident: Callable[[], int] | None = None, trim: Callable[[int], object] | None = None) -> None:
        self._resident = resident or _resident
        self._trim = trim or getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc only
        self._new_bytes = self._resident()

    def trim(self) -> None:
        if self._trim is not None and self._resident() - self._new_bytes > _KEPT_BYTES:
            self._trim(0)


def _resident() -> int:
    return int(psutil.Process().memory_info().rss)
