"""What PDFium may take for one page: a thread that looks on while native code works and cannot be told to stop.

A few kilobytes can ask for 2^30 drawings or for gigabytes of content, and nothing says so beforehand. Over a limit the
page is refused at once and for good, as the document's fault, and this worker ends: `worker.py` says how.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import psutil

from src.errors import InvalidDocument

_LOOK_S = 0.05

OPENING = 0.5  # of the limits: what is drawn is only listed, pictures are not decoded

Guard = Callable[[float], AbstractContextManager[None]]


@contextmanager
def unguarded(share: float) -> Iterator[None]:  # noqa: ARG001  # a guard that lets everything pass
    """For programs that trust their documents."""
    yield


@dataclass(frozen=True)
class Usage:
    """Of this process, at one moment."""

    cpu_s: float
    memory_bytes: int


def own_usage() -> Usage:
    return Usage(time.process_time(), int(psutil.Process().memory_info().rss))


class PageGuard:
    """Call it, with a share of its limits, for a `with` block around native code; blocks are never nested.

    `give_up` ends the process, from the guard's thread.
    """

    def __init__(
        self,
        give_up: Callable[[InvalidDocument], object],
        *,
        cpu_s: float,
        memory_bytes: int,
        usage: Callable[[], Usage] = own_usage,
    ) -> None:
        self._give_up = give_up
        self._cpu_s = cpu_s
        self._memory_bytes = memory_bytes
        self._usage = usage
        self._before: Usage | None = None  # as the block began; None outside of one
        self._share = 1.0
        self._lock = threading.Lock()
        self._working = threading.Event()
        threading.Thread(target=self._watch, name="page-guard", daemon=True).start()

    @contextmanager
    def __call__(self, share: float) -> Iterator[None]:
        with self._lock:
            self._before, self._share = self._usage(), share
        self._working.set()
        try:
            yield
        finally:
            self._working.clear()
            with self._lock:  # never while it is given up: then this process has no other answer
                self._before = None

    def _watch(self) -> None:
        while self._working.wait():
            time.sleep(_LOOK_S)
            with self._lock:
                if self._before is not None and (why := self._excess(self._before)):
                    self._before = None
                    self._give_up(InvalidDocument(why, param="file"))

    def _excess(self, before: Usage) -> str | None:
        now, memory_bytes, cpu_s = self._usage(), int(self._share * self._memory_bytes), self._share * self._cpu_s
        if now.memory_bytes - before.memory_bytes > memory_bytes:
            took = f"{memory_bytes >> 20} MiB (OCR_WORKER_MEMORY_MB)"
        elif now.cpu_s - before.cpu_s > cpu_s:
            took = f"{cpu_s:g} s (OCR_DRAW_TIMEOUT)"
        else:
            return None
        return f"The page is too complex: to draw it takes more than {took}."
