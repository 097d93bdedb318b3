"""Recreates the runtime directory while the supervisor runs: cleaners of /tmp delete it, or single sockets in it.

`main.py` calls `RuntimeKeeper.check` periodically. Every `ipc.server` binds again by itself once the directory exists;
a process whose socket stays missing is restarted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from src.ipc import runtime
from src.supervisor.lock import InstanceLock

_REBIND_S = 5.0


class RuntimeKeeper:
    """The directory, the lock in it, and missing sockets."""

    def __init__(self, directory: Path, held: InstanceLock, clock: Callable[[], float] = time.monotonic) -> None:
        self._directory = directory
        self._held = held
        self._clock = clock
        self._inode = directory.stat().st_ino
        self._missing: dict[str, float] = {}  # since when, by process

    def check(self) -> bool:
        """Whether the directory had been removed and was created again.

        Raises:
            RuntimeDirError, AlreadyRunning, OSError: it could not be created again.
        """
        removed = not self._directory.is_dir() or self._directory.stat().st_ino != self._inode
        if removed:
            self._inode = runtime.prepare(self._directory).stat().st_ino
        if self._held.lost():
            self._held.retake()
        return removed

    def unreachable(self, sockets: Iterable[tuple[str, Path]]) -> Iterator[str]:
        """The names of processes whose socket has been missing for _REBIND_S."""
        now, gone = self._clock(), {name for name, path in sockets if not path.exists()}
        self._missing = {name: self._missing.get(name, now) for name in gone}
        for name, since in list(self._missing.items()):
            if now - since >= _REBIND_S:
                del self._missing[name]
                yield name
