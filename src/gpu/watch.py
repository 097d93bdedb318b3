"""Polls the machine's GPUs every two seconds on its own thread, for the supervisor's event loop.

A driver may hang for ever: the last sample is returned with its age and expires after a while. So the thread is a
daemon and never joined.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Literal

import msgspec

from src.gpu import ioreg
from src.gpu.machine import gpu_kind
from src.gpu.nvml import Nvml
from src.ipc.messages.status import GpuSample

_EVERY_S = 2.0
_STALE_S = 15.0

NO_GPU = GpuSample("none", reason="this machine has no GPU that MLX can use")
Source = Literal["ioreg", "nvml", "none"]


def here() -> GpuWatch:
    """The watch for this machine."""
    kind = gpu_kind()
    if kind == "none":
        return GpuWatch(None, "none")
    return GpuWatch(ioreg.read, "ioreg") if kind == "metal" else GpuWatch(Nvml().read, "nvml")


class GpuWatch:
    """The latest sample. `read` may block; `clock` counts seconds."""

    def __init__(
        self,
        read: Callable[[], GpuSample] | None,
        source: Source = "nvml",
        clock: Callable[[], float] = time.monotonic,
        every_s: float = _EVERY_S,
    ) -> None:
        self._read = read
        self._clock = clock
        self._every_s = every_s
        unanswered = GpuSample(source, reason="no reading from the GPU driver yet")
        self._last = (NO_GPU if read is None else unanswered, clock())
        self._first = threading.Event()
        self._stop = threading.Event()

    def start(self, wait_s: float) -> None:
        """Start polling; waits up to `wait_s` for the first sample."""
        if self._read is None:
            return
        threading.Thread(target=self._repeat, args=(self._read,), name="gpu-watch", daemon=True).start()
        self._first.wait(wait_s)

    def stop(self) -> None:
        """Stop polling, without waiting for a reading in progress."""
        self._stop.set()

    def latest(self) -> GpuSample:
        """The last sample, unless it has expired."""
        sample, sampled_at = self._last
        if self._read is None:
            return sample
        age_s = round(self._clock() - sampled_at, 1)
        if age_s > _STALE_S:
            return GpuSample(sample.source, reason=f"no reading from the GPU driver for {age_s} s", age_s=age_s)
        return msgspec.structs.replace(sample, age_s=age_s)

    def _repeat(self, read: Callable[[], GpuSample]) -> None:
        while not self._stop.is_set():
            self._last = (read(), self._clock())
            self._first.set()
            self._stop.wait(self._every_s)
