"""The memory footprint of this process, read by the engine for its guard.

macOS reports it (`phys_footprint`: with Metal buffers and compressed pages, without clean file pages); on Linux it is
the proportional share of anonymous, shared and swapped pages. None elsewhere.
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
_PRIVATE = re.compile(rb"^(?:Pss_Anon|Pss_Shmem|SwapPss): +(\d+) kB$", re.MULTILINE)
_RUSAGE_INFO_V0 = 0
_RUSAGE_BYTES = 96
_PHYS_FOOTPRINT_AT = 72  # struct rusage_info_v0 of <sys/resource.h>: a UUID, then ten u64, of which it is the eighth
_MAX_AGE_S = 0.5
_COST = 50  # a reading is cached for this many times its duration: the kernel walks all pages


def proportional(rollup: bytes) -> int | None:
    """Bytes of a smaps_rollup that exiting would free; None when the kernel does not split them."""
    found = _PRIVATE.findall(rollup)
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
    """Cached readings, so that reading costs little."""

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
            self._good_until = now + max(_MAX_AGE_S, _COST * (now - began))
        return self._last


_own = Footprint({"linux": _on_linux, "darwin": _on_macos}.get(sys.platform, lambda: None))


def own() -> MemoryReading:
    """This process's memory, without the backend's figures."""
    return MemoryReading(rss_bytes=psutil.Process().memory_info().rss, footprint_bytes=_own())
