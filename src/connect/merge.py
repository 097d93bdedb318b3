"""A client's configuration merged into the file that it has: pure, text in and text out.

TOML and YAML keep their comments and order (tomlkit, ruamel.yaml), JSON its order and, with `jsonc`, its comments.
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

from src.connect import jsonc
from src.connect.clients import KEY, NO_KEY, ConnectedClient, Endpoint

_NAMES = ("id", "name", "model_name")  # what tells the entries of a list apart
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
    except ValueError:
        return _jsonc(text, config)
    if not isinstance(document, dict):
        raise Unmergeable("it holds no JSON object")
    _put(document, config)
    return json.dumps(document, indent=_indent(text), ensure_ascii=False) + "\n"


def _jsonc(text: str, config: dict[str, Any]) -> str:
    """A file with comments or trailing commas, which stay. The outcome is checked: it holds what it must, no more."""
    text = f"{text.rstrip()}\n{{}}\n" if jsonc.is_empty(text) else text
    try:
        document = jsonc.parse(text).value
        if not isinstance(document, dict):
            raise Unmergeable("it holds no JSON object")
        written = _put_text(text, (), document, config)
        _put(document, config)
        if jsonc.parse(written).value != document:
            raise Unmergeable("its comments stand where they would be lost")
    except jsonc.NotJsonc as error:
        raise Unmergeable(f"it is no JSON: {error}") from None
    return written


def _put_text(text: str, path: jsonc.Path, old: dict[str, Any], config: dict[str, Any]) -> str:
    """As `_put`, in the text: `old` is what stands at this place."""
    for name, value in config.items():
        text = _put_member(text, (*path, name), old, value)
    return text


def _put_member(text: str, path: jsonc.Path, old: dict[str, Any], value: Any) -> str:
    name = str(path[-1])
    was = old.get(name)
    if value is None:
        return jsonc.removed(text, path) if name in old else text
    if isinstance(value, dict) and isinstance(was, dict):
        return _put_text(text, path, was, value)
    if isinstance(value, dict) and was is not None:
        raise Unmergeable(f"its {name!r} is no table of settings")
    if isinstance(value, list) and isinstance(was, list) and all(isinstance(one, dict) for one in value):
        return _put_entries_text(text, path, was, value)
    if name not in old:
        return jsonc.inserted(text, path[:-1], name, _whole(value))
    return text if was == value else jsonc.replaced(text, path, _whole(value))


def _put_entries_text(text: str, path: jsonc.Path, old: list[Any], ours: list[dict[str, Any]]) -> str:
    for one in ours:
        same = _same(old, one)
        if same is None:
            text = jsonc.inserted(text, path, None, _whole(one))
        else:
            text = _put_text(text, (*path, same), old[same], one)
    return text


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
        same = _same(entries, one)
        if same is None:
            entries.append(_whole(one))
        else:
            _put(entries[same], one)


def _same(entries: list[Any], ours: dict[str, Any]) -> int | None:
    """The place of the entry that has our entry's name."""
    known = next((name for name in _NAMES if name in ours), None)
    places = (at for at, old in enumerate(entries) if isinstance(old, dict) and known and old.get(known) == ours[known])
    return next(places, None)


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
