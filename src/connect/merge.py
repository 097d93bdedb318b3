"""A client's configuration merged into the file that it has: pure, text in and text out.

TOML and YAML keep their comments and order (tomlkit, ruamel.yaml); JSON keeps its order. A JSON file with comments is
refused: no well-kept library writes them back.
"""

from __future__ import annotations

import difflib
import io
import json
import re
from collections.abc import MutableMapping
from typing import Any

import tomlkit
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from tomlkit.exceptions import TOMLKitError

from src.connect.clients import KEY, NO_KEY, ConnectedClient, Endpoint

_NAMES = ("id", "name", "model_name")  # what tells the entries of a list apart
_COMMENT = re.compile(r'"(?:[^"\\]|\\.)*"|(//[^\n]*|/\*.*?\*/)', re.DOTALL)
_TRAILING = re.compile(r'"(?:[^"\\]|\\.)*"|(,)(?=\s*[}\]])', re.DOTALL)
_SECRET = re.compile(r"""((?:key|token|secret|password|authorization)\w*["']?\s*[:=]\s*["']?)([^\s"',]+)""", re.I)
_HARMLESS = (KEY, NO_KEY, "env:", "${", "os.environ", "printenv", "null", "false", "true")
_INDENTED_LIST = re.compile(r"^\S[^\n]*:\s*\n(?:\s*(?:#[^\n]*)?\n)*[ ]+- ", re.MULTILINE)
_WIDE = 1 << 16  # lines of YAML are not folded


class Unmergeable(Exception):
    """The file cannot be merged into; the text says why."""


def merged(text: str, client: ConnectedClient, endpoint: Endpoint) -> str:
    """The file's text with the client's settings in it. An empty text gives a new file.

    Raises:
        Unmergeable: the text is no such file, or holds what would be lost.
    """
    write = {"toml": _toml, "yaml": _yaml, "json": _json}[client.format]
    config = client.config(endpoint) if client.config is not None else {}
    return write(text, config if text.strip() else {**client.head, **config})


def _toml(text: str, config: dict[str, Any]) -> str:
    try:
        document = tomlkit.parse(text)
    except TOMLKitError as error:
        raise Unmergeable(f"it is no TOML: {error}") from None
    _put(document, config)
    return tomlkit.dumps(document)


def _json(text: str, config: dict[str, Any]) -> str:
    try:
        document = json.loads(text) if text.strip() else {}
    except ValueError as error:
        raise Unmergeable(_why_no_json(text, error)) from None
    if not isinstance(document, dict):
        raise Unmergeable("it holds no JSON object")
    _put(document, config)
    return json.dumps(document, indent=_indent(text), ensure_ascii=False) + "\n"


def _why_no_json(text: str, error: ValueError) -> str:
    plain = _TRAILING.sub(lambda found: "" if found[1] else found[0], _COMMENT.sub(_blank, text))
    try:
        json.loads(plain)
    except ValueError:
        return f"it is no JSON: {error}"
    return "it holds comments or trailing commas, which would be lost: add the settings by hand"


def _blank(found: re.Match[str]) -> str:
    return " " if found[1] else found[0]


def _indent(text: str) -> int | str:
    """How the file is indented: by its first indented line."""
    found = re.search(r'^([ \t]+)"', text, re.MULTILINE)
    if found is None:
        return 2
    return "\t" if "\t" in found[1] else len(found[1])


def _yaml(text: str, config: dict[str, Any]) -> str:
    loader = YAML()
    loader.preserve_quotes, loader.width = True, _WIDE
    if not text.strip() or _INDENTED_LIST.search(text):
        loader.indent(mapping=2, sequence=4, offset=2)
    try:
        document = loader.load(text)
    except YAMLError as error:
        raise Unmergeable(f"it is no YAML: {error}") from None
    # a file of comments alone holds nothing yet
    comments, document = (text, {}) if document is None else ("", document)
    if not isinstance(document, MutableMapping):
        raise Unmergeable("it holds no YAML mapping")
    _put(document, config)
    out = io.StringIO()
    loader.dump(document, out)
    return comments + ("\n" if comments and not comments.endswith("\n") else "") + out.getvalue()


def _put(into: MutableMapping[str, Any], config: dict[str, Any]) -> None:
    """Objects are merged, lists by the names of their entries; None removes."""
    for name, value in config.items():
        if value is None:
            into.pop(name, None)
        elif isinstance(value, dict):
            _put_object(into, name, value)
        elif isinstance(value, list) and isinstance(into.get(name), list) and all(isinstance(v, dict) for v in value):
            _put_entries(into[name], value)
        elif into.get(name) != value:
            into[name] = _whole(value)


def _put_object(into: MutableMapping[str, Any], name: str, value: dict[str, Any]) -> None:
    if not isinstance(into.get(name), MutableMapping):
        if into.get(name) is not None:
            raise Unmergeable(f"its {name!r} is no table of settings")
        into[name] = {}
    _put(into[name], value)


def _put_entries(entries: list[Any], ours: list[dict[str, Any]]) -> None:
    for one in ours:
        known = next((name for name in _NAMES if name in one), None)
        same = next((old for old in entries if isinstance(old, dict) and known and old.get(known) == one[known]), None)
        if same is None:
            entries.append(_whole(one))
        else:
            _put(same, one)


def _whole(value: Any) -> Any:
    """A value that is new, without what only removes."""
    if isinstance(value, dict):
        return {name: _whole(one) for name, one in value.items() if one is not None}
    return [_whole(one) for one in value] if isinstance(value, list) else value


def shown_diff(before: str, after: str, file: str) -> str:
    """What changes, line by line. Keys of other services that stand beside are masked."""
    lines = difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), file, f"{file} (new)", n=1
    )
    ended = (line if line.endswith("\n") else line + "\n" for line in lines)
    return "".join(_SECRET.sub(_masked, line) for line in ended)


def _masked(found: re.Match[str]) -> str:
    harmless = any(word in found[2] for word in _HARMLESS) or found[2].isdigit()
    return found[0] if harmless else f"{found[1]}********"
