"""GET /v1/system/logs: the newest lines of a log file, for admins. Web process; reads the end of one file."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
from flask import Blueprint, Response, request

from src.api.paging import row_limit
from src.api.service import json_response, service
from src.api.wire import Wire
from src.errors import InvalidRequest, NotFound
from src.logs import FILES, LEVELS

blueprint = Blueprint("logs", __name__)

# as much as is decoded without a pause that a stream would show
_READ_BYTES = 256 << 10
_LINES, _MOST_LINES = 200, 500


class LogLine(Wire, frozen=True):
    """A line as `src/logs` writes it; none of them holds a prompt, an answer or a key."""

    ts: str
    level: str
    message: str
    process: str = ""
    where: str = ""
    request_id: str | None = None
    traceback: str | None = None


class LogLines(Wire, frozen=True):
    """The newest last. `truncated`: older lines of this file were not looked at."""

    file: str
    lines: tuple[LogLine, ...]
    truncated: bool


@blueprint.get("/v1/system/logs")
def newest() -> Response:
    """`file` (app, errors, …), `level` (this and above), `request_id`, `limit`."""
    settings = service().settings
    if not settings.enable_log_file:
        raise NotFound("No log files are written (ENABLE_LOG_FILE).")
    name = _choice("file", "app", tuple(FILES))
    least = LEVELS.index(_choice("level", "DEBUG", LEVELS))
    lines, truncated = _end_of(settings.log_path / FILES[name])
    asked, rows = request.args.get("request_id"), row_limit(_MOST_LINES, _LINES)
    wanted = [line for line in lines if _is_at_least(line, least) and asked in (None, "", line.request_id)]
    return json_response(LogLines(FILES[name], tuple(wanted[-rows:]), truncated))


def _choice(name: str, default: str, choices: tuple[str, ...]) -> str:
    chosen = request.args.get(name) or default
    if chosen not in choices:
        raise InvalidRequest(f"Invalid value for '{name}': one of {', '.join(choices)}.", param=name)
    return chosen


def _end_of(path: Path) -> tuple[list[LogLine], bool]:
    """The lines in the file's last bytes; a first one that is cut, and what is no line of ours, is left out."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _READ_BYTES))
            pieces = file.read(_READ_BYTES).splitlines()
    except FileNotFoundError:
        return [], False
    truncated = size > _READ_BYTES
    found = (_line(piece) for piece in pieces[truncated:])
    return [line for line in found if line is not None], truncated


def _line(piece: bytes) -> LogLine | None:
    try:
        return _decoder.decode(piece)
    except msgspec.MsgspecError:
        return None


def _is_at_least(line: LogLine, least: int) -> bool:
    return line.level not in LEVELS or LEVELS.index(line.level) >= least


_decoder = msgspec.json.Decoder(LogLine)
