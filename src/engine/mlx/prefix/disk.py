"""Blocks of keys and values on disk, found again by a later engine: a folder for each model, bounded together.

The owner thread asks and reads; a thread of its own writes, marks what was used, and deletes what was not for the
longest. The files are the only record, so that several engines may share the folder, and one that is killed leaves
nothing to repair: a file appears whole or not at all. No MLX here.
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import SimpleQueue

from src import logs
from src.engine.mlx.prefix.blockfile import FORMAT, Array, Buffer, Damaged, pack, unpack
from src.ipc.runtime import check_own

_BACKLOG_BYTES = 128 << 20  # copied for the writer at most; what comes while it is behind is not kept
_LOOKS = 16  # the folder is counted again after a part of its limit was written, and cut back by as much
_ABANDONED_S = 600.0  # after which an unfinished file is abandoned
_UNFINISHED = ".part"
_OURS = re.compile("[0-9a-f]{32}")  # folders and files
_CLOSE_S = 2.0
_COMPLAIN_S = 60.0


@dataclass(frozen=True)
class Kept:
    """A file: its size, and when it was used last (Unix time in nanoseconds)."""

    path: str
    size: int
    used_ns: int


def victims(kept: Iterable[Kept], limit_bytes: int, now_ns: int) -> list[Kept]:
    """What a killed engine left unfinished, and what was not used for the longest, until the rest fits."""
    oldest_first = sorted(kept, key=lambda file: file.used_ns)
    excess = sum(each.size for each in oldest_first) - limit_bytes
    found = []
    for each in oldest_first:
        unfinished = each.path.endswith(_UNFINISHED)
        if now_ns - each.used_ns > _ABANDONED_S * 1e9 if unfinished else excess > 0:
            found.append(each)
            excess -= each.size
    return found


def fingerprint(revision: str, *facts: object) -> str:
    """Of a checkpoint's files and whatever else decides what keys and values are: another one's are of no use."""
    return hashlib.blake2b(repr((FORMAT, revision, facts)).encode(), digest_size=16).hexdigest()


class Disk:
    """The blocks of one model. `has`, `read`, `write` and `used` on the owner thread; what it counts from any."""

    def __init__(self, folder: Path, model: str, limit_bytes: int) -> None:
        """Raises OSError when the folder cannot be had for ourselves alone."""
        self.limit_bytes = limit_bytes
        self.nbytes = 0
        self._root = folder
        self._folder = folder / model
        self._prefix = f"{self._folder}{os.sep}"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        check_own(folder)
        self._make()
        self._writing: set[str] = set()
        self._backlog = 0
        self._lock = threading.Lock()
        self._since_look = 0
        self._complained = -_COMPLAIN_S
        self._orders: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._orders.put(self._look)
        self._thread = threading.Thread(target=self._work, name="prefix-disk", daemon=True)
        self._thread.start()

    def has(self, name: str) -> bool:
        return name in self._writing or os.path.exists(self._prefix + name)  # noqa: PTH110  # many of them, each step

    def read(self, sequence: Iterator[str]) -> Iterator[dict[str, Array]]:
        """The blocks of a sequence, as far as they are there.

        One that is damaged is deleted, and those behind it: what spoiled it (a power cut) may have spoiled them.
        """
        for name in sequence:
            arrays = self._read(name, sequence)
            if arrays is None:
                return
            yield arrays

    def _read(self, name: str, behind: Iterator[str]) -> dict[str, Array] | None:
        path = self._folder / name
        try:
            return unpack(name, path.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            self._complain(f"a block cannot be read: {error.strerror}")
        except Damaged as error:
            self._complain(f"a block is deleted: {error}")
            for each in (name, *behind):
                with suppress(OSError):
                    (self._folder / each).unlink()
        return None

    def write(self, name: str, copy: Callable[[], dict[str, Array]]) -> bool:
        """Have a block written; False, and nothing is copied, while the disk is too far behind."""
        if self._backlog > _BACKLOG_BYTES:
            return False
        arrays = copy()
        size = sum(len(each.data) for each in arrays.values())
        with self._lock:
            self._backlog += size
            self._writing.add(name)
        self._orders.put(partial(self._write, name, size, arrays))
        return True

    def used(self, blocks: list[str]) -> None:
        """A sequence was asked for: note it for all its blocks, its beginning as the last to go."""
        self._orders.put(partial(self._mark, blocks, time.time_ns()))

    def flush(self, timeout_s: float) -> bool:
        """Wait until all that was ordered is done; whether it was in time."""
        done = threading.Event()
        self._orders.put(done.set)
        return done.wait(timeout_s)

    def close(self) -> None:
        """Write what is left, as far as that goes quickly."""
        self._orders.put(None)
        self._thread.join(_CLOSE_S)

    # ---- its own thread

    def _work(self) -> None:
        while (order := self._orders.get()) is not None:
            self._carry_out(order)

    def _carry_out(self, order: Callable[[], None]) -> None:
        """A full disk or memory, or a folder that went away, costs the time it would have saved, and nothing else."""
        try:
            order()
        except OSError as error:
            self._complain(f"the disk takes no blocks: {error.strerror}")
        except MemoryError:
            self._complain("the disk takes no blocks: no memory")

    def _write(self, name: str, size: int, arrays: dict[str, Array]) -> None:
        try:
            self._put(name, pack(name, arrays))
        finally:
            with self._lock:
                self._backlog -= size
                self._writing.discard(name)
        self.nbytes += size
        self._since_look += size
        if self._since_look > self.limit_bytes // _LOOKS:
            self._look()

    def _put(self, name: str, pieces: list[Buffer]) -> None:
        """No `fsync`: after a power cut a block may be damaged, which is noticed when it is read."""
        self._make()
        path = self._folder / f"{name}.{os.getpid()}{_UNFINISHED}"
        try:
            with open(path, "wb", opener=_private) as file:
                file.writelines(pieces)
            path.replace(self._folder / name)
        except OSError:
            path.unlink(missing_ok=True)
            raise

    def _make(self) -> None:
        """Each time: somebody may have emptied the whole."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        check_own(self._folder)
        self._folder.chmod(0o700)

    def _mark(self, blocks: list[str], now_ns: int) -> None:
        for at, name in enumerate(blocks):
            with suppress(FileNotFoundError):
                os.utime(self._prefix + name, ns=(now_ns - 1000 * at,) * 2)

    def _look(self) -> None:
        """Count the files of all engines, and evict what is over the limit."""
        self._since_look = 0
        kept = list(_kept(self._root))
        self.nbytes = sum(each.size for each in kept)
        for each in victims(kept, self.limit_bytes - self.limit_bytes // _LOOKS, time.time_ns()):
            with suppress(FileNotFoundError):
                os.unlink(each.path)  # noqa: PTH108  # many of them
            self.nbytes -= each.size

    def _complain(self, text: str) -> None:
        now = time.monotonic()
        if now - self._complained >= _COMPLAIN_S:
            self._complained = now
            logs.model.warning("prefix cache: {}", text)


def _kept(root: Path) -> Iterator[Kept]:
    """All models' files, and nothing else that lies there. Another engine may delete them meanwhile."""
    for folder in os.scandir(root):
        if not (_OURS.fullmatch(folder.name) and folder.is_dir(follow_symlinks=False)):
            continue
        for file in os.scandir(folder.path):
            with suppress(FileNotFoundError):
                info = file.stat(follow_symlinks=False)
                if _OURS.match(file.name):
                    yield Kept(file.path, info.st_size, info.st_mtime_ns)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
