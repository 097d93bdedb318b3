"""Finds where a JSON object ends while it is written. Pure; owner thread."""

from __future__ import annotations

import json

# models write line ends and tabs into strings as they are: JSON has them escaped
_ESCAPES = {chr(code): json.dumps(chr(code))[1:-1] for code in range(32)}


class Braces:
    """Follows an object to where its braces are balanced."""

    def __init__(self) -> None:
        self._depth = 0
        self._in_string = self._escaped = self._torn = False
        self.closed = False

    @property
    def quoting(self) -> bool:
        """Inside a string, where marks are text; a raw line end says that its quote was forgotten."""
        return self._in_string and not self._torn

    def take(self, text: str) -> tuple[str, str]:
        """What of the text belongs to the object, and the rest. A raw control character in a string is escaped."""
        made: list[str] = []
        for at, character in enumerate(text):
            made.append(_ESCAPES.get(character, character) if self._in_string else character)
            if self._ends(character):
                self.closed = True
                return "".join(made), text[at + 1 :]
        return "".join(made), ""

    def _ends(self, character: str) -> bool:
        if self._in_string:
            self._torn = self._torn or character == "\n"
            self._in_string = self._escaped or character != '"'
            self._escaped = character == "\\" and not self._escaped
            return False
        self._in_string, self._torn = character == '"', False
        self._depth += (character in "{[") - (character in "}]")
        return self._depth == 0 and character in "}]"
