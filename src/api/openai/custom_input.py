"""Custom tools: a function with one string for the model; its input, read out of the JSON arguments as they come. Pure.

For /v1/responses and /v1/chat/completions.
"""

from __future__ import annotations

import json
import re
from typing import Any

from src.ipc.messages.chat import InputFormat

INPUT = "input"
PARAMETERS: dict[str, Any] = {
    "type": "object",
    "properties": {INPUT: {"type": "string"}},
    "required": [INPUT],
    "additionalProperties": False,
}
_HEAD = re.compile(rf'\s*\{{\s*"{INPUT}"\s*:\s*"')
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "/": "/", "\\": "\\", '"': '"'}
_CODE = re.compile(r"\\u[0-9a-fA-F]{4}")


def described(description: str | None, form: InputFormat | None) -> str | None:
    """With the form of its input, which a model cannot see otherwise."""
    if form is None:
        return description
    told = f"`{INPUT}` is text in this {form.syntax} grammar:\n{form.definition}"
    return f"{description}\n\n{told}" if description else told


def arguments(text: str) -> str:
    """The arguments of a call whose input this is."""
    return json.dumps({INPUT: text}, ensure_ascii=False)


def whole_input(arguments: str) -> str:
    reader = CustomInput()
    return reader.feed(arguments) + reader.finish()


class CustomInput:
    """Feed it the arguments piece by piece; arguments of another form are the input as they are, at the end."""

    def __init__(self) -> None:
        self._held = ""
        self._whole = ""
        self._begun = self._over = False

    def feed(self, piece: str) -> str:
        """What of the input is known now and was not before."""
        self._whole += piece
        self._held += piece
        if not self._begun and not self._begin():
            return ""
        return self._unescape()

    def finish(self) -> str:
        """The rest, once there are no more pieces."""
        if self._begun:
            return ""
        return _other(self._whole)

    def _begin(self) -> bool:
        head = _HEAD.match(self._held)
        if head is not None:
            self._begun, self._held = True, self._held[head.end() :]
        return self._begun

    def _unescape(self) -> str:
        made: list[str] = []
        while self._held and not self._over:
            taken, text = _next(self._held)
            if not taken:
                break
            self._over = text is None
            made.append(text or "")
            self._held = self._held[taken:]
        return "".join(made)


def _next(text: str) -> tuple[int, str | None]:
    """How much of a JSON string's rest is whole, and what it says; None at its end, 0 while more has to come."""
    if text[0] == '"':
        return 1, None
    if text[0] != "\\":
        plain = re.match(r'[^"\\]+', text)
        assert plain is not None  # noqa: S101  # the first character is one
        return plain.end(), plain[0]
    if len(text) < 2:
        return 0, ""
    if text[1] != "u":
        return 2, _ESCAPES.get(text[1], text[1])
    return _unicode(text)


def _unicode(text: str) -> tuple[int, str]:
    """A `\\uXXXX`, or two that are one character; half of such a pair is U+FFFD."""
    if len(text) < 6:
        return 0, ""
    if (code := _code(text[:6])) is None:
        return 2, "u"
    if not 0xD800 <= code < 0xDC00:
        return 6, "\ufffd" if 0xDC00 <= code < 0xE000 else chr(code)
    if len(text) < 12 and "\\u".startswith(text[6:8]):
        return 0, ""
    low = _code(text[6:12]) or 0
    if not 0xDC00 <= low < 0xE000:
        return 6, "\ufffd"
    return 12, chr(0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00))


def _code(escape: str) -> int | None:
    return int(escape[2:], 16) if _CODE.fullmatch(escape) else None


def _other(arguments: str) -> str:
    """Arguments that do not begin with the input: its value if they have one, else they are the input themselves."""
    try:
        parsed = json.loads(arguments)
    except ValueError:
        return arguments
    if isinstance(parsed, str):
        return parsed
    value = parsed.get(INPUT) if isinstance(parsed, dict) else None
    return value if isinstance(value, str) else arguments
