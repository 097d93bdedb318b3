"""CPU and memory limits of PDFium per page: a thread watches native code that cannot be interrupted.

A few kilobytes of PDF can expand to 2^30 drawings or gigabytes of content without a warning. Over a limit the page
fails without a retry, as the document's fault, and the worker process exits: see `worker.py`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import psutil

from src.errors import InvalidDocument

_POLL_S = 0.05

OPENING = 0.5  # share of the limits: objects are only listed, images are not decoded

Guard = Callable[[float], AbstractContextManager[None]]


@contextmanager
def unguarded(_share: float) -> Iterator[None]:
    """No limits, for trusted documents."""
    yield


@dataclass(frozen=True)
class ProcessUsage:
    """CPU time and resident memory of this process."""

    cpu_s: float
    memory_bytes: int


def own_usage() -> ProcessUsage:
    return ProcessUsage(time.process_time(), int(psutil.Process().memory_info().rss))


class PageGuard:
    """Call it with a share of its limits for a `with` block around native code; blocks are never nested.

    `abort` is called from the guard's thread and exits the process.
    """

    def __init__(
        self,
        abort: Callable[[InvalidDocument], object],
        *,
        cpu_s: float,
        memory_bytes: int,
        usage: Callable[[], ProcessUsage] = own_usage,
    ) -> None:
        self._abort = abort
        self._cpu_s = cpu_s
        self._memory_bytes = memory_bytes
        self._usage = usage
        self._before: ProcessUsage | None = None  # at the start of the block; None outside
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
            with self._lock:  # not while aborting: the process sends no second reply
                self._before = None

    def _watch(self) -> None:
        while self._working.wait():
            time.sleep(_POLL_S)
            with self._lock:
                if self._before is not None and (why := self._exceeded_limit(self._before)):
                    self._before = None
                    self._abort(InvalidDocument(why, param="file"))

    def _exceeded_limit(self, before: ProcessUsage) -> str | None:
        now, memory_bytes, cpu_s = self._usage(), int(self._share * self._memory_bytes), self._share * self._cpu_s
        if now.memory_bytes - before.memory_bytes > memory_bytes:
            took = f"{memory_bytes >> 20} MiB (OCR_WORKER_MEMORY_MB)"
        elif now.cpu_s - before.cpu_s > cpu_s:
            took = f"{cpu_s:g} s (OCR_DRAW_TIMEOUT)"
        else:
            return None
        return f"The page is too complex: rendering it takes more than {took}."
