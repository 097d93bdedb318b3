"""Ends processes that an earlier supervisor started and that outlive it: macOS kills no child whose parent has died.

A child that runs ends by its lifeline; one that hangs or is stopped cannot read it. `processes.json` in the runtime
directory names what was started; the next supervisor, which holds the lock, kills those that are still the same.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec
import psutil
from loguru import logger

FILE = "processes.json"
_GRACE_S = 5.0  # those that run need it to end by themselves
_POLL_S = 0.1
_CLOCK_S = 2.0  # a start time is computed from the boot time, which a clock that is set moves a little
# a /proc without the boot time is a RuntimeError of psutil's; arguments that are no text, or such a pid, a ValueError
_UNREADABLE = (psutil.Error, OSError, RuntimeError, ValueError)


class StartedProcess(msgspec.Struct, frozen=True):
    """A process of ours, the leader of its group: its start time and arguments tell it from one with a reused pid."""

    pid: int
    started_at: float
    arguments: tuple[str, ...]


class StartedProcesses:
    """The file, with one writer: the supervisor that holds the lock."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE
        self._started: list[StartedProcess] = []

    def add(self, pid: int, argv: tuple[str, ...]) -> None:
        """A file that cannot be written costs the next supervisor this process's name, and nothing now."""
        with suppress(*_UNREADABLE):
            fresh = StartedProcess(pid, psutil.Process(pid).create_time(), argv[1:])
            self._started = [*(each for each in self._started if psutil.pid_exists(each.pid)), fresh]
            partial = self._path.with_name(f"{FILE}.new")
            partial.write_bytes(msgspec.json.encode(self._started))
            partial.rename(self._path)

    def remove(self) -> None:
        """After all have ended."""
        with suppress(OSError):
            self._path.unlink()


def kill_earlier(
    directory: Path, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
) -> list[int]:
    """Wait for what an earlier supervisor started, then kill the groups of what hangs; their pids."""
    left = [each for each in _read(directory / FILE) if _is_same(each)]
    deadline = clock() + _GRACE_S
    while left and clock() < deadline:
        sleep(_POLL_S)
        left = [each for each in left if _is_same(each)]
    for each in left:
        logger.warning("killing process {} of an earlier supervisor: it hangs ({})", each.pid, _name(each))
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(each.pid, signal.SIGKILL)
    return [each.pid for each in left]


def _read(path: Path) -> list[StartedProcess]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[StartedProcess])
    except (OSError, msgspec.DecodeError):
        return []


def _is_same(started: StartedProcess) -> bool:
    """Whether it lives and is ours. Its first argument is left out: Python of a macOS framework replaces it."""
    try:
        process = psutil.Process(started.pid)
        return (
            process.status() != psutil.STATUS_ZOMBIE
            and process.uids().real == os.getuid()
            and abs(process.create_time() - started.started_at) <= _CLOCK_S
            and tuple(process.cmdline()[1:]) == started.arguments
            and os.getpgid(started.pid) == started.pid
        )
    except _UNREADABLE:
        return False


def _name(started: StartedProcess) -> str:
    return " ".join(started.arguments)[:100]
