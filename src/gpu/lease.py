"""Whose turn it is on the device: chat's engine and an OCR model, each its own process, compute one after the other.

A turn is a step of the engine, or as many tokens of a page as take as long as its process had waited. Turns come in the
order in which they were asked for. Each is a lock on a byte of one file in the runtime folder, so that the system ends
it with its process, whatever that died of. Who waits for too long goes on without: slower, but never stuck.
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
Turns = Callable[[], AbstractContextManager[GiveWay]]

_PATIENCE_S = 0.25  # longer than a turn; a stream that stands still for longer is seen by people
_LEAST_S = 0.005  # a turn shorter than this is not worth its locks
_MOST_S = 0.1
_FIRST_PAUSE_S = 0.0002
_LONGEST_PAUSE_S = 0.002
_COUNTER = 0  # this byte is locked while a number is drawn; number n is the lock on byte n
_COUNTER_BYTES = 8


def share(waited_s: float) -> float:
    """How long a turn may last: as long as was waited for it, so that both sides get as much."""
    return min(max(waited_s, _LEAST_S), _MOST_S)


def patience(before_s: float, *, missed: bool) -> float:
    """How long to wait for the next turn: less after each that did not come, as who has it may hang."""
    return max(before_s / 8, _LEAST_S) if missed else min(before_s * 2, _PATIENCE_S)


def turns(settings: Settings, device: Literal["gpu", "cpu"]) -> Turns:
    """The turns on this device; nobody waits where no OCR model computes beside chat."""
    two = bool(settings.ocr_model) and settings.ocr_workers != 0 and settings.ocr_engine in ("auto", "mlx_vlm")
    wanted = device == "gpu" if settings.device_turns == "auto" else settings.device_turns == "on"
    return DeviceLease(runtime.device_lease(settings.runtime_path)).turn if two and wanted else alone


@contextmanager
def alone() -> Iterator[GiveWay]:
    """A turn on a device that nobody else uses."""
    yield lambda: None


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


class DeviceLease:
    """One process's way to its turns; for one thread, and one object a process: record locks are the process's own."""

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
        self._number = 0  # drawn, and ours until it is let go
        self._patience_s = _PATIENCE_S

    @contextmanager
    def turn(self) -> Iterator[GiveWay]:
        """Wait for a turn. What is given is to be called now and then: it lets others in when the turn is over."""
        over = self._begin()

        def give_way() -> None:
            nonlocal over
            if self._clock() >= over:
                self._end()
                over = self._begin()

        try:
            yield give_way
        finally:
            self._end()

    def close(self) -> None:
        """Lets go of everything this process holds of the file."""
        os.close(self._file)

    def _begin(self) -> float:
        """When the turn is over."""
        self._reopen_if_removed()
        asked = self._clock()
        deadline = asked + self._patience_s
        missed = not (self._until(deadline, self._draw) and self._until(deadline, self._is_first))
        if missed:
            self._end()
        self._patience_s = patience(self._patience_s, missed=missed)
        now = self._clock()
        return now + share(now - asked)

    def _reopen_if_removed(self) -> None:
        """A cleaner of /tmp may have taken the file; who opens it later would take turns with nobody."""
        if os.fstat(self._file).st_nlink:
            return
        with suppress(OSError):  # no directory at the moment: the next turn looks again
            before, self._file = self._file, _open(self._path)
            os.close(before)

    def _until(self, deadline: float, condition: Callable[[], bool]) -> bool:
        """Whether it came true in time."""
        pause = _FIRST_PAUSE_S
        while not condition():
            if self._clock() >= deadline:
                return False
            self._sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)
        return True

    def _draw(self) -> bool:
        if not self._lock(_COUNTER, 1):
            return False
        try:
            self._number = int.from_bytes(os.pread(self._file, _COUNTER_BYTES, 0), "big") + 1
            os.pwrite(self._file, self._number.to_bytes(_COUNTER_BYTES, "big"), 0)
            return self._lock(self._number, 1)
        finally:
            self._unlock(_COUNTER, 1)

    def _is_first(self) -> bool:
        """Whether nobody holds a number drawn before ours."""
        earlier = self._number - 1
        if not earlier:
            return True
        if not self._lock(1, earlier):
            return False
        self._unlock(1, earlier)
        return True

    def _end(self) -> None:
        if self._number:
            self._unlock(self._number, 1)
            self._number = 0

    def _lock(self, start: int, length: int) -> bool:
        with suppress(BlockingIOError, PermissionError):  # EAGAIN or EACCES: someone has it
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, length, start)
            return True
        return False

    def _unlock(self, start: int, length: int) -> None:
        fcntl.lockf(self._file, fcntl.LOCK_UN, length, start)
