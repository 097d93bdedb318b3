"""loguru in every process: JSON lines into files by stream, readable lines on the console.

Streams are `app` (default), `api`, `model` and `system`; errors of all streams also go to errors.log. The one janitor
(supervisor) may rename the files at any time (`logfile`); nothing here rotates. Never `enqueue=True`:
it deadlocks under gevent. User text is passed as an argument, never as the format string.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from contextvars import ContextVar
from datetime import UTC
from typing import TYPE_CHECKING, Any

from loguru import logger

from src.flood import Flood
from src.logfile import LogFile
from src.settings import LogSettings

if TYPE_CHECKING:
    from loguru import Record

FILES = {
    "app": "app.log",
    "api": "api_requests.log",
    "model": "model_operations.log",
    "system": "system_metrics.log",
    "errors": "errors.log",
}
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
    logger.add(sys.stderr, level=level, format=_console, filter=_console_filter, backtrace=False, diagnose=False)
    if settings.enable_log_file:
        _add_files(settings, level)
    root = logging.getLogger()
    root.handlers = [_ToLoguru()]
    root.setLevel(logging.INFO if level == "DEBUG" else level)


def _add_files(settings: LogSettings, level: str) -> None:
    from src.settings import ROOT  # noqa: PLC0415  # only needed for log files

    folder = ROOT / settings.log_dir
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
