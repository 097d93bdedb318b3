"""Keeps the runtime directory while the supervisor runs: cleaners of /tmp delete it, or single sockets in it.

`main.py` calls `RuntimeKeeper.check` now and then. Every `ipc.server` binds again by itself once the directory is
there; a process whose socket stays away is restarted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from src.ipc import runtime
from src.supervisor.lock import Held

_BINDS_AGAIN_S = 5.0


class RuntimeKeeper:
    """The directory and the lock in it, and whose sockets are gone."""

    def __init__(self, directory: Path, held: Held, clock: Callable[[], float] = time.monotonic) -> None:
        self._directory = directory
        self._held = held
        self._clock = clock
        self._inode = directory.stat().st_ino
        self._missing: dict[str, float] = {}  # since when, by child

    def check(self) -> bool:
        """Whether the directory had been removed, and was made again.

        Raises:
            RuntimeDirError, AlreadyRunning, OSError: it cannot be had again.
        """
        removed = not self._directory.is_dir() or self._directory.stat().st_ino != self._inode
        if removed:
            self._inode = runtime.prepare(self._directory).stat().st_ino
        if self._held.lost():
            self._held.retake()
        return removed

    def unreachable(self, sockets: Iterable[tuple[str, Path]]) -> Iterator[str]:
        """Of these processes, by name, those whose socket has been away for too long."""
        now, gone = self._clock(), {name for name, path in sockets if not path.exists()}
        self._missing = {name: self._missing.get(name, now) for name in gone}
        for name, since in list(self._missing.items()):
            if now - since >= _BINDS_AGAIN_S:
                del self._missing[name]
                yield name
