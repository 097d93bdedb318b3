"""Tool calls that a model chose to make, read between their marks while they are written. Pure; owner thread.

What a format allows is passed on as it grows: arguments that are JSON text character by character, arguments that stand
each between marks of its own one by one. Of other formats a call is known at its end. The format's parser has the last
word; what it cannot read is shown as text, without the marks, also behind a call that had begun.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from loguru import logger

from src.engine.backend import Pieces
from src.engine.families.braces import Braces
from src.engine.families.formats import Growth, Parser
from src.engine.families.marks import Marks
from src.ipc.messages.chat import CallDelta

# the calls in a text, names and arguments as JSON text; None when it cannot be read
Parse = Callable[[str], list[tuple[str, str]] | None]
_LAST = ("}", "}]", "null", ")", ")]")  # what arguments end with
_BETWEEN = " \t\r\n[]{},;`"  # what of a section is no call, and says nothing
# what an object may say of itself behind its arguments
_REST = re.compile(r'\s*,\s*"\w+"\s*:\s*(?:"[^"]*"|null|\d+)\s*\}')


class Calls:
    """Numbers an answer's calls; without `parallel` the first is the only one.

    A call that is not `chosen` was named by the request: its answer's reason is `stop`, as OpenAI has it.
    """

    def __init__(self, new_id: Callable[[], str], *, parallel: bool, chosen: bool = True) -> None:
        self._new_id = new_id
        self._parallel = parallel
        self._muted = False
        self._chosen = chosen
        self.count = 0

    @property
    def called(self) -> bool:
        return self._chosen and self.count > 0

    def begin(self, name: str) -> tuple[CallDelta, ...]:
        self._muted = self.count > 0 and not self._parallel
        if self._muted:
            return ()
        self.count += 1
        return (CallDelta(self.count - 1, self._new_id(), name),)

    def more(self, arguments: str) -> tuple[CallDelta, ...]:
        """Of the call that began last."""
        return () if self._muted or not arguments else (CallDelta(self.count - 1, arguments=arguments),)


def reading(parse: Parser, tools: list[dict[str, Any]]) -> Parse:
    """A format's parser for the tools of a request."""

    def read(text: str) -> list[tuple[str, str]] | None:
        try:
            parsed: Any = parse(text, tools)
            return [_call(one) for one in (parsed if isinstance(parsed, list) else [parsed])]
        except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError):
            return None

    return read


def _call(parsed: Any) -> tuple[str, str]:
    arguments = parsed.get("arguments", parsed.get("parameters", {}))
    if arguments is None or arguments == "":
        arguments = {}
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    if not isinstance(parsed["name"], str) or not isinstance(json.loads(text), dict):
        raise ValueError("not a call")
    return parsed["name"], text


class Section:
    """A text between the marks of calls, read at its end; `marks` are left out of what cannot be."""

    def __init__(self, calls: Calls, parse: Parse, marks: Marks) -> None:
        self._calls = calls
        self._parse = parse
        self._marks = marks
        self._text = ""

    @property
    def quoting(self) -> bool:
        """What comes next stands inside a string: no mark ends it."""
        return False

    def push(self, text: str) -> Pieces:
        self._text += text
        return Pieces(calls=self._grow(text))

    def close(self, *, cut: bool = False) -> Pieces:
        """The section is over; `cut`: its end mark has not come."""
        del cut
        parsed = self._parse(self._text)
        if parsed is None:
            return Pieces(text=self._shown(self._text))
        return Pieces(calls=self._whole_calls(parsed))

    def _whole_calls(self, parsed: list[tuple[str, str]]) -> tuple[CallDelta, ...]:
        told = [self._calls.begin(name) + self._calls.more(arguments) for name, arguments in parsed]
        return sum(told, ())

    def _grow(self, text: str) -> tuple[CallDelta, ...]:
        del text  # nothing is known before the end
        return ()

    def _shown(self, text: str) -> str:
        shown = self._marks.strip(text)
        if shown.strip():
            logger.info("a tool call cannot be read: it is shown as text")
        return shown


class JsonSection(Section):
    """Arguments are JSON text, passed on as it comes: a model's slip in it is its client's to see, as with OpenAI."""

    def __init__(self, calls: Calls, parse: Parse, marks: Marks, head: re.Pattern[str]) -> None:
        super().__init__(calls, parse, marks)
        self._head = head
        self._held = ""
        self._braces: Braces | None = None
        self._begun = False

    @property
    def quoting(self) -> bool:
        return self._braces is not None and self._braces.quoting

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

    def close(self, *, cut: bool = False) -> Pieces:
        rest = _REST.sub("", self._held, count=1) if self._begun else self._held
        if self._begun and not self._marks.strip(rest).strip(_BETWEEN):
            return Pieces()
        whole = not cut or rest.rstrip(" \n`").endswith(_LAST)
        parsed = self._parse(rest.lstrip(_BETWEEN.replace("{", ""))) if whole else None
        if parsed is None:
            shown = self._shown(rest)
            return Pieces(text=shown.strip(_BETWEEN) if self._begun else shown)
        return Pieces(calls=self._whole_calls(parsed))


class PartsSection(Section):
    """Arguments that end one by one: after each, the parser reads what there is."""

    def __init__(self, calls: Calls, parse: Parse, marks: Marks, form: Growth) -> None:
        super().__init__(calls, parse, marks)
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
        end = self._text.rfind(self._format.part, max(self._read, 0))
        if end <= self._read or self._lost:
            return found
        self._read = end
        parsed = self._parse(self._text[: end + len(self._format.part)] + self._format.closer)
        return found + self._tell(parsed or [], over=False)

    def close(self, *, cut: bool = False) -> Pieces:
        parsed = self._parse(self._text)
        lacking = cut and parsed is not None and self._lacks_end(parsed)
        if lacking and parsed and self._name is None:  # no more than a name, which may be cut
            parsed = parsed[:-1] or None
        told = self._tell(parsed or [], over=not lacking)
        unread = (parsed is None and not self._sent) or self._lost
        return Pieces(text=self._shown(self._text) if unread else "", calls=told)

    def _lacks_end(self, parsed: list[tuple[str, str]]) -> bool:
        """Whether more of the last call was to come."""
        return not self._format.closer or self._text.count(self._format.closer) < len(parsed)

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


def section(growth: Growth | None, calls: Calls, parse: Parse, marks: Marks) -> Section:
    """What reads a section of calls that grow so."""
    if growth is None:
        return Section(calls, parse, marks)
    if growth.head is not None:
        return JsonSection(calls, parse, marks, growth.head)
    return PartsSection(calls, parse, marks, growth)


def _unescaped(name: str) -> str:
    try:
        return str(json.loads(f'"{name}"'))
    except ValueError:
        return name
