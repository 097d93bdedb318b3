"""The only log rotator: renames full or old log files, compresses them a minute later, deletes them after retention.

`main.py` runs `tidy` in a thread periodically. Writing processes watch their files and reopen them after a rename;
a late record may still go to the old file, hence the minute.
"""

from __future__ import annotations

import gzip
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Literal

from loguru import logger

from src.logs import FILES
from src.settings import LogSettings

_LATE_WRITERS_S = 60.0
_DAY_S = 86400.0
LAUNCHD = "launchd.err"  # launchd holds it open: it is copied and emptied
_NAMES = frozenset(FILES.values())
_ROTATED = re.compile(
    rf"({'|'.join(Path(name).stem for name in (*FILES.values(), LAUNCHD))})\.\d{{8}}T\d{{6}}(\.\d+)?\.log"
)
_FIRST_RECORD = re.compile(rb'\{"ts": "(\d{4}-\d{2}-\d{2})T')


@dataclass(frozen=True)
class RotatedLog:
    """A file in the log folder. `began`: the day of its first record (UTC)."""

    name: str
    size: int
    modified: float
    began: date


@dataclass(frozen=True)
class Action:
    """What to do with one file."""

    do: Literal["rotate", "empty", "compress", "delete"]
    name: str


def plan(files: Iterable[RotatedLog], now: float, settings: LogSettings) -> Iterator[Action]:
    """The actions for log files of this service; other files are never touched."""
    files = list(files)
    surplus = list(_plan_total(files, settings))
    yield from surplus
    gone = {action.name for action in surplus}
    for file in (file for file in files if file.name not in gone):
        if file.name == LAUNCHD:
            if file.size >= settings.log_max_mb * 2**20:
                yield Action("empty", file.name)
        elif file.name in _NAMES:
            if file.size > 0 and _is_full(file, now, settings):
                yield Action("rotate", file.name)
        elif _is_rotated(file.name):
            yield from _plan_rotated(file, now - file.modified, settings)


def _is_full(file: RotatedLog, now: float, settings: LogSettings) -> bool:
    today = datetime.fromtimestamp(now, UTC).date()
    return file.size >= settings.log_max_mb * 2**20 or file.began < today


def _plan_total(files: list[RotatedLog], settings: LogSettings) -> Iterator[Action]:
    """LOG_TOTAL_MB: delete the oldest rotated files."""
    rotated = sorted((file for file in files if _is_rotated(file.name)), key=lambda file: file.modified)
    excess = sum(file.size for file in rotated) - settings.log_total_mb * 2**20
    for file in rotated:
        if excess <= 0:
            return
        excess -= file.size
        yield Action("delete", file.name)


def _is_rotated(name: str) -> bool:
    return bool(_ROTATED.fullmatch(name.removesuffix(".tmp").removesuffix(".gz")))


def _plan_rotated(file: RotatedLog, age_s: float, settings: LogSettings) -> Iterator[Action]:
    if age_s >= settings.log_retention_days * _DAY_S or (file.name.endswith(".tmp") and age_s >= _DAY_S):
        yield Action("delete", file.name)
    elif file.name.endswith(".log") and age_s >= _LATE_WRITERS_S:
        yield Action("compress", file.name)


class Janitor:
    """Carries the plan out. Never raises: a failure is logged once and retried."""

    def __init__(self, folder: Path, settings: LogSettings, clock: Callable[[], float]) -> None:
        self._folder = folder
        self._settings = settings
        self._clock = clock
        self._failing = False

    def tidy(self) -> None:
        """Rotate, compress and delete once. Blocks while compressing."""
        try:
            actions = list(plan(_scan(self._folder), self._clock(), self._settings))
            problems = [problem for action in actions if (problem := self._try(action))]
        except OSError as error:
            problems = [error]
        if problems and not self._failing:
            logger.error("log rotation failed, retrying: {}", problems[0])
        self._failing = bool(problems)

    def _try(self, action: Action) -> OSError | None:
        try:
            self._execute(action)
        except OSError as error:
            return error
        return None

    def _execute(self, action: Action) -> None:
        path = self._folder / action.name
        if action.do == "rotate":
            _rotate(path, self._clock())
        elif action.do == "empty":
            _empty(path, self._clock())
        elif action.do == "compress":
            _compress(path)
        else:
            path.unlink()


def _scan(folder: Path) -> Iterator[RotatedLog]:
    for path in sorted(folder.iterdir()):
        info = path.lstat()
        if stat.S_ISREG(info.st_mode):
            yield RotatedLog(path.name, info.st_size, info.st_mtime, _began(path, info.st_mtime))


def _began(path: Path, modified: float) -> date:
    """The date of its first record; many file systems keep no creation time."""
    if path.name in _NAMES:
        with path.open("rb") as file:
            if found := _FIRST_RECORD.match(file.read(64)):
                return date.fromisoformat(found[1].decode())
    return datetime.fromtimestamp(modified, UTC).date()


def _rotate(path: Path, now: float) -> None:
    target = _stamped(path, now)
    path.rename(target)
    os.utime(target, (now, now))  # its age starts now


def _empty(path: Path, now: float) -> None:
    """For a writer that never opens it again; it appends, so that its next line is the first."""
    target = _stamped(path, now)
    try:
        shutil.copyfile(path, target)
    except OSError:  # a full disk: half a copy would keep it full
        target.unlink(missing_ok=True)
        raise
    os.truncate(path, 0)
    os.utime(target, (now, now))


def _stamped(path: Path, now: float) -> Path:
    stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%S")
    return _free(path.with_name(f"{path.stem}.{stamp}.log"))


def _free(path: Path) -> Path:
    names = [path, *(path.with_name(f"{path.stem}.{number}.log") for number in range(1, 100))]
    return next(name for name in names if not name.exists() and not name.with_name(name.name + ".gz").exists())


def _compress(path: Path) -> None:
    info = path.stat()
    partial, target = path.with_name(path.name + ".gz.tmp"), path.with_name(path.name + ".gz")
    try:
        with path.open("rb") as source, partial.open("wb") as sink, gzip.GzipFile(fileobj=sink, mode="wb") as packed:
            os.fchmod(sink.fileno(), 0o640)
            shutil.copyfileobj(source, packed, 1 << 20)
    except OSError:
        partial.unlink(missing_ok=True)  # on a full disk every byte counts
        raise
    os.utime(partial, (info.st_atime, info.st_mtime))
    partial.rename(target)
    path.unlink()
