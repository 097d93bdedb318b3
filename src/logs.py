"""loguru in every process: JSON lines into files by stream, readable lines on the console.

Streams are `app` (default), `api`, `model` and `system`; errors of all streams also go to errors.log. The one janitor
(supervisor) may rename the files at any time (`LogFile` opens them again); nothing here rotates. What one line of code
may log is bounded (`Flood`), and a full disk costs the lines that do not fit, not the service. Never `enqueue=True`: it
deadlocks under gevent. User text is passed as an argument, never as the format string.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loguru import logger

from src.settings import LogSettings

_SAY_EVERY_S = 60.0
_MODE = 0o640


class LogFile:
    """A sink for `logger.add`; loguru's handler lets one thread in at a time. A full disk costs no traceback a line."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._fd: int | None = None
        self._place: tuple[int, int] | None = None
        self._said_at = float("-inf")
        self._torn = False
        self.lost = 0
        try:
            self._open()
        except OSError as error:
            self._complain(error)

    def write(self, line: str) -> None:
        try:
            self._append(self._open(), line.encode(errors="replace"))
        except OSError as error:
            self.lost += 1
            self._complain(error)

    def stop(self) -> None:
        """Called by loguru when the sink is removed."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _open(self) -> int:
        """Our file, if the path still leads to it; else a new one."""
        if self._fd is None or self._place != self._where():
            self.stop()
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, _MODE)
            self._place = self._where()
        return self._fd

    def _where(self) -> tuple[int, int] | None:
        with suppress(FileNotFoundError):
            info = self._path.stat()
            return info.st_dev, info.st_ino
        return None

    def _append(self, fd: int, line: bytes) -> None:
        """Half a line, if that was all there was room for, does not make the next one unreadable too."""
        if self._torn:
            os.write(fd, b"\n")
            self._torn = False
        written = os.write(fd, line)
        self._torn = written < len(line)
        if self._torn:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _complain(self, error: OSError) -> None:
        now = self._clock()
        if now - self._said_at >= _SAY_EVERY_S:
            self._said_at = now
            with suppress(OSError, ValueError):  # the console may be gone as well
                sys.stderr.write(f"{self._path}: {error.strerror}; {self.lost} lines were lost so far\n")


_WINDOW_S = 60.0


class Flood:
    """Each place gets `most` records a minute. Called from any thread."""

    def __init__(self, most: int, clock: Callable[[], float]) -> None:
        self._most = most
        self._clock = clock
        self._lock = threading.Lock()
        self._window = 0
        self._seen: dict[tuple[str, int], int] = {}
        self.dropped = 0

    def admits(self, place: tuple[str, int]) -> tuple[bool, int]:
        """Whether this record is written, and how many from its place were left out in the minute before."""
        with self._lock:
            left_out = self._turn(place)
            count = self._seen[place] = self._seen.get(place, 0) + 1
            if count > self._most:
                self.dropped += 1
                return False, 0
            return True, left_out

    def _turn(self, place: tuple[str, int]) -> int:
        """Begin a new minute when it is time: forget who was quiet, owe a word about who was not."""
        window = int(self._clock() / _WINDOW_S)
        if window != self._window:
            self._window = window
            self._seen = {place: self._most - seen for place, seen in self._seen.items() if seen > self._most}
        owed = self._seen.get(place, 0)
        if owed < 0:
            self._seen[place] = 0
        return max(0, -owed)


if TYPE_CHECKING:
    from loguru import Record

FILES = {
    "app": "app.log",
    "api": "api_requests.log",
    "model": "model_operations.log",
    "system": "system_metrics.log",
    "errors": "errors.log",
}
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_MAX_TRACEBACK = 8000
# records per minute from one line of code: many are normal for requests; elsewhere they mean a loop
_RECORDS_PER_MINUTE = {"api": 60_000, "model": 60_000}
_DEFAULT_RECORDS_PER_MINUTE = 300

# created by this server and logged by every process
request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
# the client's or proxy's X-Request-Id: only logged
client_request_id: ContextVar[str | None] = ContextVar("client_request_id", default=None)

api = logger.bind(stream="api")
model = logger.bind(stream="model")
system = logger.bind(stream="system")


def configure(process: str, settings: LogSettings, level: str) -> None:
    """Set up this process's logging, the standard library's included. Called once, first thing."""
    logger.remove()
    logger.configure(patcher=_patch, extra={"process": process, "stream": "app"})
    shown = _console_level(settings, level)
    logger.add(sys.stderr, level=shown, format=_console, filter=_console_filter, backtrace=False, diagnose=False)
    if settings.enable_log_file:
        _add_files(settings, level)
    root = logging.getLogger()
    root.handlers = [_ToLoguru()]
    root.setLevel(logging.INFO if level == "DEBUG" else level)


def _console_level(settings: LogSettings, level: str) -> str:
    if settings.console_log_level != "AUTO":
        return settings.console_log_level
    quiet = settings.enable_log_file and level == "INFO" and not sys.stderr.isatty()
    return "WARNING" if quiet else level


def _add_files(settings: LogSettings, level: str) -> None:
    from src.settings import home  # noqa: PLC0415  # only needed for log files

    folder = home() / settings.log_dir
    folder.mkdir(parents=True, exist_ok=True)
    for stream, name in FILES.items():
        _files[stream] = LogFile(folder / name)
        logger.add(
            _files[stream],
            level="ERROR" if stream == "errors" else level,
            filter=_errors if stream == "errors" else _only(stream),
            format=_format,
            backtrace=False,
            diagnose=False,
        )


def _only(stream: str) -> Any:
    return lambda record: record["extra"].get("stream") == stream and _not_flooded(record)


def _console_filter(record: Record) -> bool:
    """Records for the console: all but readings of `system`, which go to its file."""
    return _not_flooded(record) and (record["extra"].get("stream") != "system" or record["level"].no >= logging.WARNING)


def _errors(record: Record) -> bool:
    return record["level"].no >= logging.ERROR and _not_flooded(record)


def _not_flooded(record: Record) -> bool:
    return not record["extra"].get("_flooded", False)


_files: dict[str, LogFile] = {}
_floods = {
    stream: Flood(_RECORDS_PER_MINUTE.get(stream, _DEFAULT_RECORDS_PER_MINUTE), time.monotonic) for stream in FILES
}


def dropped() -> int:
    """Records dropped by flood control or because they could not be written."""
    return sum(flood.dropped for flood in _floods.values()) + sum(file.lost for file in _files.values())


def _patch(record: Record) -> None:
    extra = record["extra"]
    extra.setdefault("request_id", request_id.get())
    extra.setdefault("client_request_id", client_request_id.get())
    flood = _floods.get(str(extra.get("stream")), _floods["app"])
    passes, left_out = flood.admits((str(record["name"]), record["line"]))
    if not passes:
        extra["_flooded"] = True
    if left_out:
        extra["left_out"] = left_out  # same line of code, in the minute before


def _console(record: Record) -> str:
    """One readable line: control characters are escaped, so that a text cannot forge a line."""
    record["extra"]["_text"] = "".join(c if c.isprintable() else repr(c)[1:-1] for c in record["message"])
    return "{time:HH:mm:ss.SSS} {level: <7} {extra[process]: <10} {extra[_text]}\n{exception}"


def _format(record: Record) -> str:
    """One JSON line. It is put into `extra` because what a format function returns is a format string itself."""
    hidden = ("_json", "_text", "_flooded", "stream")
    extra = {key: value for key, value in record["extra"].items() if key not in hidden and value is not None}
    entry: dict[str, object] = {
        "ts": record["time"].astimezone(UTC).isoformat(timespec="milliseconds"),
        "level": record["level"].name,
        "pid": record["process"].id,
        "where": f"{record['name']}:{record['line']}",
        "message": record["message"],
        **extra,
    }
    if record["exception"] is not None:
        entry["traceback"] = _traceback(record)
    record["extra"]["_json"] = json.dumps(entry, ensure_ascii=True, default=str)
    return "{extra[_json]}\n"


def _traceback(record: Record) -> str:
    from traceback import format_exception  # noqa: PLC0415  # rare

    caught = record["exception"]
    if caught is None or caught.value is None:
        return ""
    return "".join(format_exception(caught.type, caught.value, caught.traceback))[-_MAX_TRACEBACK:]


class _ToLoguru(logging.Handler):
    """Passes the standard library's records to loguru."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = record.getMessage()
        except (TypeError, ValueError, KeyError):
            self.handleError(record)  # a log call with wrong arguments must not raise in its caller
            return
        logger.opt(exception=record.exc_info, depth=6).log(_level(record), "{}", text)


def _level(record: logging.LogRecord) -> str | int:
    """The level's name, or the number of a custom level."""
    try:
        return logger.level(record.levelname).name
    except ValueError:
        return record.levelno
