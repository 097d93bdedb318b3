"""Memory that a page has freed and the C library keeps: given back after a large one. Runs in an OCR worker only.

A page's tensors leave holes between which the next page's do not fit: a worker's peak grows from page to page. Small
pages leave little, and giving that back would make each of them slower.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import psutil

_KEPT_BYTES = 150 << 20


class Heap:
    """Made when the recognizer is loaded and warm: what counts is what is held beyond that."""

    def __init__(self, resident: Callable[[], int] | None = None, trim: Callable[[int], object] | None = None) -> None:
        self._resident = resident or _resident
        self._trim = trim or getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's alone
        self._new_bytes = self._resident()

    def give_back(self) -> None:
        if self._trim is not None and self._resident() - self._new_bytes > _KEPT_BYTES:
            self._trim(0)


def _resident() -> int:
    return int(psutil.Process().memory_info().rss)
