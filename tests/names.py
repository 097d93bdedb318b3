"""Which routes, commands and settings a text names in its code, and which of them exist in this checkout."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError
from werkzeug.exceptions import HTTPException

from src import cli
from src.api.app import application
from src.settings import ROOT, Settings

_SPAN = re.compile(r"`([^`\n]+)`")
_BLOCK = re.compile(r"^```(?:sh|console)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_ROUTE = re.compile(r"(?:(GET|POST|DELETE|PUT) )?(/[\w/.{}<>-]*)$")
_SETTING = re.compile(r"([A-Z][A-Z0-9_]*)(?:=(\S+))?$")
_METHODS = ("GET", "POST", "DELETE")


def spans(text: str) -> list[str]:
    """What stands between backticks, outside fenced blocks."""
    return _SPAN.findall(_BLOCK.sub("", text))


def commands(text: str) -> Iterator[str]:
    """Each command of a text: the lines of its shell blocks, continued ones joined, and the spans that are commands."""
    for block in _BLOCK.findall(text):
        yield from filter(None, map(str.strip, block.replace("\\\n", " ").splitlines()))
    yield from (span for span in spans(text) if span.startswith(("python run.py", "make ")))


def command_exists(command: str) -> bool:
    """Whether the command line takes it, or the Makefile has its target; of `a|b` the first is tried."""
    words = [word.split("|")[0] for word in shlex.split(command, comments=True)]
    if words[:1] == ["make"]:
        return f"\n{words[1]}:" in (ROOT / "Makefile").read_text(encoding="utf-8")
    if words[:2] != ["python", "run.py"]:
        return False
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            cli.make_parser().parse_args(words[2:])
    except SystemExit:
        return False
    return True


def is_route(span: str) -> bool:
    """Whether it reads like a route: `GET /livez`, `/livez`."""
    return bool(_ROUTE.match(span))


def route_exists(span: str) -> bool:
    """Whether the service answers there."""
    found = _ROUTE.match(span)
    return found is not None and any(_answers(found[2], method) for method in ((found[1],) if found[1] else _METHODS))


def _answers(path: str, method: str) -> bool:
    try:
        application.url_map.bind("localhost").match(re.sub(r"[{<]\w+[}>]", "1", path), method)
    except HTTPException:
        return False
    return True


def setting_exists(span: str) -> bool:
    """Whether it is a setting, or a setting and a value that it takes."""
    found = _SETTING.match(span)
    if found is None or found[1].lower() not in Settings.model_fields:
        return False
    try:
        given: dict[str, Any] = {found[1].lower(): found[2]} if found[2] else {}
        Settings(_env_file=None, **given)
    except ValidationError:
        return False
    return True
