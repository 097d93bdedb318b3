"""What this process really takes of the machine's memory: read by the engine for its guard.

macOS counts it itself (`phys_footprint`: Metal's buffers and compressed pages are in it, clean file pages are not);
Linux tells the same of a process by its proportional share of anonymous, shared and swapped pages. None elsewhere.
"""

from __future__ import annotations

import ctypes
import os
import re
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from src.ipc.messages.status import MemoryReading

_ROLLUP = Path("/proc/self/smaps_rollup")
_KEPT = re.compile(rb"^(?:Pss_Anon|Pss_Shmem|SwapPss): +(\d+) kB$", re.MULTILINE)
_RUSAGE_INFO_V0 = 0
_RUSAGE_BYTES = 96
_PHYS_FOOTPRINT_AT = 72  # struct rusage_info_v0 of <sys/resource.h>: a UUID, then ten u64, of which it is the eighth
_FRESH_S = 0.5
_COST = 50  # a reading that took long is kept that many times as long: the kernel walks all pages for it


def proportional(rollup: bytes) -> int | None:
    """Bytes of a smaps_rollup that nobody but this process could give back; None when the kernel does not split it."""
    found = _KEPT.findall(rollup)
    return sum(map(int, found)) << 10 if len(found) == 3 else None


def phys_footprint(rusage: bytes) -> int:
    """The footprint in a `struct rusage_info_v0`."""
    return int(struct.unpack_from("=Q", rusage, _PHYS_FOOTPRINT_AT)[0])


def _on_linux() -> int | None:
    try:
        return proportional(_ROLLUP.read_bytes())
    except OSError:
        return None


def _on_macos() -> int | None:
    buffer = ctypes.create_string_buffer(_RUSAGE_BYTES)
    failed = ctypes.CDLL("/usr/lib/libproc.dylib").proc_pid_rusage(os.getpid(), _RUSAGE_INFO_V0, buffer)
    return None if failed else phys_footprint(buffer.raw)


class Footprint:
    """Reads, but not so often that reading itself is work."""

    def __init__(self, read: Callable[[], int | None], clock: Callable[[], float] = time.perf_counter) -> None:
        self._read = read
        self._clock = clock
        self._good_until = float("-inf")
        self._last: int | None = None

    def __call__(self) -> int | None:
        began = self._clock()
        if began >= self._good_until:
            self._last = self._read()
            now = self._clock()
            self._good_until = now + max(_FRESH_S, _COST * (now - began))
        return self._last


_own = Footprint({"linux": _on_linux, "darwin": _on_macos}.get(sys.platform, lambda: None))


def own() -> MemoryReading:
    """This process's memory, without what only a backend knows."""
    return MemoryReading(rss_bytes=psutil.Process().memory_info().rss, footprint_bytes=_own())
