"""Turns on the device: the chat engine and an OCR model, each in its own process, compute alternately.

A turn is one engine step, or decoding for as long as its process had waited. Turns are granted in FIFO order by
tickets. Each ticket is a lock on a byte of one file in the runtime folder, so that the kernel releases it when its
process exits. After a timeout a process computes without a turn: slower, but never stuck.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Literal

from src.ipc import runtime
from src.settings import Settings

GiveWay = Callable[[], None]
DeviceTurns = Callable[[], AbstractContextManager[GiveWay]]

_TURN_TIMEOUT_S = 0.25  # longer than a turn; a longer pause of a stream is visible
_MIN_TURN_S = 0.005  # shorter turns are not worth the locking
_MAX_TURN_S = 0.1
_FIRST_POLL_S = 0.0002
_MAX_POLL_S = 0.002
_COUNTER = 0  # byte 0 is locked while a ticket is taken; ticket n is the lock on byte n
_COUNTER_BYTES = 8


def turn_length(waited_s: float) -> float:
    """Length of a turn: the time waited for it, so that both sides get the same share."""
    return min(max(waited_s, _MIN_TURN_S), _MAX_TURN_S)


def next_timeout(before_s: float, *, missed: bool) -> float:
    """Timeout for the next turn: shorter after each timeout, as the holder may hang."""
    return max(before_s / 8, _MIN_TURN_S) if missed else min(before_s * 2, _TURN_TIMEOUT_S)


def turns(settings: Settings, device: Literal["gpu", "cpu"]) -> DeviceTurns:
    """Turns on this device; `unshared` where no OCR model uses it."""
    two = bool(settings.ocr_model) and settings.ocr_workers != 0 and settings.ocr_engine in ("auto", "mlx_vlm")
    wanted = device == "gpu" if settings.device_turns == "auto" else settings.device_turns == "on"
    return DeviceLock(runtime.device_lock(settings.runtime_path)).turn if two and wanted else unshared


@contextmanager
def unshared() -> Iterator[GiveWay]:
    """A turn on a device used by this process only."""
    yield lambda: None


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


class DeviceLock:
    """A process's turns; one object per process, used on one thread: record locks belong to the process."""

    def __init__(
        self,
        path: Path,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._path = path
        self._file = _open(path)
        self._clock = clock
        self._sleep = sleep
        self._ticket = 0  # held until released; 0 without one
        self._timeout_s = _TURN_TIMEOUT_S

    @contextmanager
    def turn(self) -> Iterator[GiveWay]:
        """Wait for a turn. Yields a function to call regularly: at the end of the turn it waits for the next one."""
        ends_at = self._acquire()

        def give_way() -> None:
            nonlocal ends_at
            if self._clock() >= ends_at:
                self._release()
                ends_at = self._acquire()

        try:
            yield give_way
        finally:
            self._release()

    def close(self) -> None:
        """Release all locks of this process."""
        os.close(self._file)

    def _acquire(self) -> float:
        """Wait for a turn; returns when it ends."""
        self._reopen_if_removed()
        asked = self._clock()
        deadline = asked + self._timeout_s
        missed = not (self._poll(deadline, self._take_ticket) and self._poll(deadline, self._is_next))
        if missed:
            self._release()
        self._timeout_s = next_timeout(self._timeout_s, missed=missed)
        now = self._clock()
        return now + turn_length(now - asked)

    def _reopen_if_removed(self) -> None:
        """A cleaner of /tmp may have removed the file; processes that open it later would not share turns with us."""
        if os.fstat(self._file).st_nlink:
            return
        with suppress(OSError):  # no directory at the moment: retried at the next turn
            before, self._file = self._file, _open(self._path)
            os.close(before)

    def _poll(self, deadline: float, condition: Callable[[], bool]) -> bool:
        """Poll until the condition holds; False after the deadline."""
        pause = _FIRST_POLL_S
        while not condition():
            if self._clock() >= deadline:
                return False
            self._sleep(pause)
            pause = min(2 * pause, _MAX_POLL_S)
        return True

    def _take_ticket(self) -> bool:
        if not self._lock(_COUNTER, 1):
            return False
        try:
            self._ticket = int.from_bytes(os.pread(self._file, _COUNTER_BYTES, 0), "big") + 1
            os.pwrite(self._file, self._ticket.to_bytes(_COUNTER_BYTES, "big"), 0)
            return self._lock(self._ticket, 1)
        finally:
            self._unlock(_COUNTER, 1)

    def _is_next(self) -> bool:
        """Whether no earlier ticket is held."""
        earlier = self._ticket - 1
        if not earlier:
            return True
        if not self._lock(1, earlier):
            return False
        self._unlock(1, earlier)
        return True

    def _release(self) -> None:
        if self._ticket:
            self._unlock(self._ticket, 1)
            self._ticket = 0

    def _lock(self, start: int, length: int) -> bool:
        with suppress(BlockingIOError, PermissionError):  # EAGAIN or EACCES: locked by another process
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, length, start)
            return True
        return False

    def _unlock(self, start: int, length: int) -> None:
        fcntl.lockf(self._file, fcntl.LOCK_UN, length, start)
