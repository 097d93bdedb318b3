"""Tool calls that a model chose to make, read between their marks while they are written. Pure; owner thread.

What a format allows is passed on as it grows: arguments that are JSON text character by character, arguments that stand
each between marks of its own one by one. Of other formats a call is known at its end. The model's parser has the last
word; what it cannot read is shown as the text it was, also behind a call that had begun.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass

from src.engine.backend import Pieces
from src.engine.mlx.text.forced import Braces
from src.ipc.messages.chat import CallDelta

# the calls in a text, names and arguments as JSON text; None when it cannot be read
Parse = Callable[[str], list[tuple[str, str]] | None]


@dataclass(frozen=True)
class Format:
    """`head` ends where a call's JSON begins. Or: `name` is a call's, `part` ends an argument, `closer` a call."""

    head: re.Pattern[str] | None = None
    name: re.Pattern[str] | None = None
    part: str = ""
    closer: str = ""


_QUOTED = r'"((?:[^"\\]|\\.)+)"'
# by the module of mlx-lm's parser
FORMATS = {
    "json_tools": Format(re.compile(rf'[\s\[\],}}]*\{{\s*"name"\s*:\s*{_QUOTED}\s*,\s*"arguments"\s*:\s*(?=\{{)')),
    "mistral": Format(re.compile(r"[\s,]*(?:\[TOOL_CALLS\])?\s*([\w-]+)\s*\[ARGS\]\s*(?=\{)")),
    "kimi_k2": Format(
        re.compile(
            r"\s*(?:<\|tool_call_end\|>)?\s*(?:<\|tool_call_begin\|>)?\s*(?:functions\.)?([^\s:<]+):\d+\s*"
            r"<\|tool_call_argument_begin\|>\s*(?=\{)"
        )
    ),
    "qwen3_coder": Format(None, re.compile(r"\s*<function=([^\s<>]+)>"), "</parameter>", "</function>"),
    "minimax_m2": Format(None, re.compile(r'\s*<invoke name="?([^\s">]+)"?>'), "</parameter>", "</invoke>"),
    "muse_spark": Format(
        None, re.compile(r'\s*<atem:invoke\b[^>]*?\bname="([^"]+)">'), "</atem:parameter>", "</atem:invoke>"
    ),
    "minicpm5": Format(None, re.compile(r"\s*[\"']?([^\s\"'<>]+)[\"']?\s*>"), "</param>"),
    "glm47": Format(None, re.compile(r"\s*([^\s<{]+)\s*(?=<arg_key>)"), "</arg_value>"),
    "laguna": Format(None, re.compile(r"\s*([^\s<{]+)\s*(?=<arg_key>)"), "</arg_value>"),
    "longcat": Format(None, re.compile(r"\s*([^\s<{]+)\s*(?=<longcat_arg_key>)"), "</longcat_arg_value>"),
}
_BETWEEN = " \t\r\n[]{},"  # what of a section is no call, and says nothing
_MARKS = re.compile(r"<\|tool_call\w*\|>")


class Calls:
    """Numbers an answer's calls; without `parallel` the first is the only one."""

    def __init__(self, new_id: Callable[[], str], *, parallel: bool) -> None:
        self._new_id = new_id
        self._parallel = parallel
        self._muted = False
        self.count = 0

    def begin(self, name: str) -> tuple[CallDelta, ...]:
        self._muted = self.count > 0 and not self._parallel
        if self._muted:
            return ()
        self.count += 1
        return (CallDelta(self.count - 1, self._new_id(), name),)

    def more(self, arguments: str) -> tuple[CallDelta, ...]:
        """Of the call that began last."""
        return () if self._muted or not arguments else (CallDelta(self.count - 1, arguments=arguments),)


class Section:
    """A text between the marks of calls, read at its end; `shown` is how it looks when it cannot be."""

    def __init__(self, calls: Calls, parse: Parse, shown: Callable[[str], str]) -> None:
        self._calls = calls
        self._parse = parse
        self._shown = shown
        self._text = ""

    def push(self, text: str) -> Pieces:
        self._text += text
        return Pieces(calls=self._grow(text))

    def close(self) -> Pieces:
        """The end mark came, or the end of the answer."""
        parsed = self._parse(self._text)
        if parsed is None:
            return Pieces(text=self._shown(self._text))
        told = [self._calls.begin(name) + self._calls.more(arguments) for name, arguments in parsed]
        return Pieces(calls=sum(told, ()))

    def _grow(self, text: str) -> tuple[CallDelta, ...]:
        del text  # nothing is known before the end
        return ()


class JsonSection(Section):
    """Arguments are JSON text, passed on as it comes: a model's slip in it is its client's to see, as with OpenAI."""

    def __init__(self, calls: Calls, parse: Parse, shown: Callable[[str], str], head: re.Pattern[str]) -> None:
        super().__init__(calls, parse, shown)
        self._head = head
        self._held = ""
        self._braces: Braces | None = None
        self._begun = False

    def _grow(self, text: str) -> tuple[CallDelta, ...]:
        self._held += text
        found: tuple[CallDelta, ...] = ()
        while self._held:
            if self._braces is not None:
                taken, self._held = self._braces.take(self._held)
                found += self._calls.more(taken)
                self._braces = None if self._braces.closed else self._braces
            elif (head := self._head.match(self._held)) is not None:
                self._begun, self._braces, self._held = True, Braces(), self._held[head.end() :]
                found += self._calls.begin(_unescaped(head[1]))
            else:
                break
        return found

    def close(self) -> Pieces:
        if not self._begun:
            return super().close()
        return Pieces(text=_MARKS.sub("", self._held).strip(_BETWEEN))


class PartsSection(Section):
    """Arguments that end one by one: after each, the parser reads what there is."""

    def __init__(self, calls: Calls, parse: Parse, shown: Callable[[str], str], form: Format) -> None:
        super().__init__(calls, parse, shown)
        self._format = form
        self._read = -1  # where the last argument ended
        self._whole = 0  # calls told to their end
        self._name: str | None = None  # of the one under way
        self._sent = ""
        self._lost = False

    def _grow(self, text: str) -> tuple[CallDelta, ...]:
        del text  # all of `_text` is looked at
        found: tuple[CallDelta, ...] = ()
        if self._name is None and not self._whole and self._format.name is not None:
            head = self._format.name.match(self._text)
            found = self._begin(head[1]) if head is not None else ()
        end = self._text.rfind(self._format.part)
        if end <= self._read or self._lost:
            return found
        self._read = end
        parsed = self._parse(self._text[: end + len(self._format.part)] + self._format.closer)
        return found + self._tell(parsed or [], over=False)

    def close(self) -> Pieces:
        parsed = self._parse(self._text)
        told = self._tell(parsed or [], over=True)
        unread = parsed is None or self._lost
        return Pieces(text=self._shown(self._text) if unread else "", calls=told)

    def _begin(self, name: str) -> tuple[CallDelta, ...]:
        self._name, self._sent = name, ""
        return self._calls.begin(name)

    def _tell(self, parsed: list[tuple[str, str]], *, over: bool) -> tuple[CallDelta, ...]:
        """What is new in these calls; the last may still grow, unless it is over."""
        found: tuple[CallDelta, ...] = ()
        for at, (name, arguments) in enumerate(parsed[self._whole :], self._whole + 1):
            complete = over or at < len(parsed)
            known = arguments if complete else arguments.removesuffix("}")
            found += self._begin(name) if self._name is None else ()
            self._lost = self._lost or name != self._name or not known.startswith(self._sent)
            if self._lost:
                return found
            found += self._calls.more(known[len(self._sent) :])
            self._sent = known
            if complete:
                self._whole, self._name = at, None
        return found


def section(parser: str, calls: Calls, parse: Parse, shown: Callable[[str], str]) -> Section:
    """What reads a section in the format of this parser of mlx-lm."""
    form = FORMATS.get(parser)
    if form is None:
        return Section(calls, parse, shown)
    if form.head is not None:
        return JsonSection(calls, parse, shown, form.head)
    return PartsSection(calls, parse, shown, form)


def _unescaped(name: str) -> str:
    try:
        return str(json.loads(f'"{name}"'))
    except ValueError:
        return name
