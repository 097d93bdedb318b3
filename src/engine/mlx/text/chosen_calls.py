"""Grammars of calls that a model may make: any text, and as soon as a call begins its tool's schema. Pure.

A call begins with its family's mark. Where that is a token, all tokens but it are text; where it is text, it ends the
text before it. What follows is written as calls that must be made are (`constrained`), with free white space.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from src.engine.families.formats import Tools
from src.engine.families.forms import FORMS
from src.engine.mlx.text.constrained import Mark, Unwritable, Writer, marks_of
from src.engine.mlx.text.tool_grammar import Schema, arguments
from src.ipc.messages.chat import Tool

# its mark stands before answers, too
_UNSURE = ("functionary",)
_WS = "/[ \\t\\n]{0,4}/"
_ANY = '%json {"type":"object"}'
_TEXT = r"TEXT: /(.|\n)*/"
_SPACES = re.compile(r"\s+")
_TOKEN = re.compile(r"<\[(\d+)\]>")
_HEADER = "/(analysis|commentary|final)[a-z ]{0,12}/"


def chosen(tools: Tools, offered: Sequence[Tool], schema: Schema, mark: Mark) -> str | None:
    """A Lark grammar, or None for a format in which the beginning of a call is no sure sign."""
    form = FORMS.get(tools.name) if tools.name not in _UNSURE else None
    if form is None:
        return None
    writer = _Chosen(form, schema, mark, marks_of(tools))
    if tools.name == "harmony":
        return writer.in_messages(offered)
    begin = form.before.partition("{name}")[0] if form.key else tools.start
    sure = form.before.startswith(begin) or form.open.startswith(begin)
    return writer.in_text(offered, begin) if begin and sure else None


class _Chosen(Writer):
    """Writes calls behind the text in which they begin."""

    def in_text(self, offered: Sequence[Tool], begin: str) -> str | None:
        found = self._free(self.text(begin))
        if found is None:
            return None
        free, head = found
        calls = list(self._calls(offered, begin))
        names = " | ".join(f"call{number}" for number in range(len(offered)))
        lines = ["start: section* rest", f"section: head {self._section(begin)}", f"call: {names}", free, head]
        return "\n".join([*lines, *calls, *self.rules])

    def _free(self, begin: str) -> tuple[str, str] | None:
        """The text between calls, and the one that a call's mark ends."""
        first = _TOKEN.match(begin)
        if first is not None:
            return f"rest: <[^{first[1]}]>*", f"head: rest {begin}"
        if _TOKEN.search(begin) is not None:
            return None  # text up to a token within a mark has no lexeme
        return f"rest: TEXT\n{_TEXT}", f"head[lazy]: TEXT {begin}"

    def _section(self, begin: str) -> str:
        """What follows the mark: calls up to the end of all, or one."""
        form = self._form
        if form.key or not form.open:
            return "call"
        between, close = self._loose(form.between), self._loose(form.close)
        return f"{self._loose(form.open.removeprefix(begin))} call ({between} call)* {close}"

    def _calls(self, offered: Sequence[Tool], begin: str) -> Iterator[str]:
        """Each tool's call, from its name on where the mark stands before the name."""
        before = self._form.before if self._form.open and not self._form.key else self._form.before.removeprefix(begin)
        for number, tool in enumerate(offered):
            yield self._strict(number, tool, before) if self._form.key else self._as_json(number, tool, before)

    def _as_json(self, number: int, tool: Tool, before: str) -> str:
        written = arguments(tool, self._schema) if tool.strict else _ANY
        head, after = self._loose(before, name=tool.name), self._loose(self._form.after)
        self.rules.append(f"input{number}: {written}")
        return f"call{number}: {_WS} {head} input{number} {_WS} {after}"

    def _strict(self, number: int, tool: Tool, before: str) -> str:
        """Arguments between marks; of a tool that is not strict, or cannot be, the name alone is sure."""
        name, kept = self._loose(before.partition("{name}")[0] + tool.name), len(self.rules)
        try:
            if not tool.strict:
                raise Unwritable(tool.name)
            values = " ".join(self.values(number, tool))
        except Unwritable:
            del self.rules[kept:]
            return f"call{number}: {name} {self._loose(before.partition('{name}')[2].strip()[:1])}"
        rest, after = self._loose(before.partition("{name}")[2]), self._loose(self._form.after)
        return f"call{number}: {name} {rest} {_WS} {values} {_WS} {after}"

    def in_messages(self, offered: Sequence[Tool]) -> str | None:
        """Harmony: a header that names a recipient is a call's, and its body the arguments."""
        channel, message, start, constrain = map(
            self.text, ("<|channel|>", "<|message|>", "<|start|>", "<|constrain|>")
        )
        found = [_TOKEN.fullmatch(each) for each in (channel, start)]
        ids = [each[1] for each in found if each is not None]
        if len(ids) < len(found):
            return None
        typed = f'({constrain} "json" | "json" | "code")? {message}'
        parts = [
            f'part: <[^{",".join(ids)}]> | {start} "assistant" | {channel} called',
            f"  | {channel} {_HEADER} ({constrain} /[a-z]+/)? {message}",
            f"called: {' | '.join(f'call{number}' for number in range(len(offered)))}",
        ]
        for number, tool in enumerate(offered):
            self.rules.append(f"input{number}: {arguments(tool, self._schema) if tool.strict else _ANY}")
            parts.append(f'call{number}: "commentary to=functions.{tool.name}" /[ ]?/ {typed} input{number}')
        return "\n".join(["start: part*", *parts, *self.rules])

    def _loose(self, text: str, **places: str) -> str:
        """A literal whose white space may be another."""
        pieces = (self.text(piece, **places) for piece in _SPACES.split(text))
        return f" {_WS} ".join(pieces).strip()
