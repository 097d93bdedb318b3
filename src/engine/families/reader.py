"""What of a model's text is its answer, its thinking, its calls: by its family's marks, wherever the text is cut.

Pure; owner thread. `sections` reads what stands between the marks of calls, `channels` texts of headers and bodies.
"""

from __future__ import annotations

from enum import Enum
from functools import lru_cache

from src.engine.backend import Pieces
from src.engine.families.formats import Bare, Language
from src.engine.families.marks import Flow, Marks
from src.engine.families.sections import Calls, Parse, Section, section

_NOTHING = Pieces()
_LANGUAGES = 64  # whose marks are kept: a process speaks a few


class _In(Enum):
    ANSWER = "its answer"
    THINKING = "its thinking"
    CALLS = "calls"


class MarkedReader:
    """Follows the marks a model puts around its thinking and its calls.

    Without `parse` there are no calls: what looks like one is shown, without its marks.
    """

    def __init__(
        self, language: Language, calls: Calls, parse: Parse | None, *, thinking: bool = False, joint: str = ""
    ) -> None:
        self._tools, self._thinking = language.tools, language.reasoning
        self._calls = calls
        self._parse = parse
        self._marks, self._inner = _marks(language, offered=parse is not None)
        self._in = _In.THINKING if thinking else _In.ANSWER
        self._flows = {_In.ANSWER: Flow(joint), _In.THINKING: Flow("\n")}
        self._bare: Bare | None = self._tools.bare if self._tools is not None and parse is not None else None
        self._undecided = ""  # it may become a call without a mark
        self._held = ""
        self._section: Section | None = None

    @property
    def called(self) -> bool:
        return self._calls.called

    def push(self, text: str) -> Pieces:
        self._held += text
        found = self._drain(last=False)
        keep = self._marks[self._in].held(self._held)
        ready, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        return found + self._take(ready)

    def flush(self) -> Pieces:
        """The answer is over: what was held back, unless it is the beginning of a mark, and a call without an end."""
        found = self._drain(last=True)
        held, self._held = self._held, ""
        found += self._take(held if self._is_text(held) else "") + self._decide()
        found += self._close(cut=True) if self._in is _In.CALLS else Pieces(text=self._flows[_In.ANSWER].rest())
        return found

    def _is_text(self, held: str) -> bool:
        """Whether what may have become a mark was none: a single character of an answer, or part of a string."""
        quoting = self._section is not None and self._section.quoting
        return quoting or (len(held) == 1 and self._in is _In.ANSWER)

    def pause(self) -> None:
        """A message ends, and another may begin."""
        self._flows[_In.ANSWER].pause()

    def _drain(self, *, last: bool) -> Pieces:
        """All up to the last whole mark."""
        found = _NOTHING
        while self._held and (mark := self._marks[self._in].first(self._held, last=last)) is not None:
            before, self._held = self._held[: mark.start()], self._held[mark.end() :]
            found += self._take(before) + self._pass(mark[0])
        return found

    def _take(self, text: str) -> Pieces:
        """Text without marks, of where we are."""
        if not text:
            return _NOTHING
        if self._in is _In.CALLS:
            return self._called(text)
        if self._bare is not None and self._in is _In.ANSWER and not self._flows[self._in].begun:
            return self._maybe_call(self._bare, text)
        return self._shown(text)

    def _shown(self, text: str) -> Pieces:
        shown = self._flows[self._in].take(text)
        return Pieces(reasoning=shown) if self._in is _In.THINKING else Pieces(text=shown)

    def _maybe_call(self, bare: Bare, text: str) -> Pieces:
        """An answer's first text: a call, if it begins as one."""
        self._undecided += text
        if bare.whole.match(self._undecided) is not None:
            text, self._undecided, self._in = self._undecided, "", _In.CALLS
            return self._called(text)
        return _NOTHING if bare.partial.fullmatch(self._undecided) is not None else self._decide()

    def _decide(self) -> Pieces:
        """It was no call."""
        text, self._undecided = self._undecided, ""
        return self._shown(text) if text else _NOTHING

    def _called(self, text: str) -> Pieces:
        if self._parse is None:
            return Pieces(text=self._flows[_In.ANSWER].take(self._inner.strip(text)))
        if self._section is None:
            growth = self._tools.growth if self._tools is not None else None
            self._section = section(growth, self._calls, self._parse, self._inner)
        return self._section.push(text)

    def _close(self, *, cut: bool = False) -> Pieces:
        if self._section is None:
            return _NOTHING
        closed, self._section = self._section.close(cut=cut), None
        return Pieces(text=self._flows[_In.ANSWER].take(closed.text), calls=closed.calls)

    def _pass(self, mark: str) -> Pieces:
        """A mark: what it ends, and what it begins."""
        if self._in is _In.CALLS and self._section is not None and self._section.quoting:
            return self._section.push(mark)
        undecided = self._decide()
        place, closed = self._behind(mark), _NOTHING
        if self._in is _In.CALLS and place is not _In.CALLS:
            closed = self._close()
        elif self._in is not _In.CALLS:
            self._flows[self._in].pause()
        self._in = place
        return undecided + closed + (self._called(mark) if self._begins_call(mark) else _NOTHING)

    def _begins_call(self, mark: str) -> bool:
        """A call without the mark of some: its own is part of what is read."""
        return self._in is _In.CALLS and self._tools is not None and mark == self._tools.call

    def _behind(self, mark: str) -> _In:
        """Where the text behind a mark belongs."""
        if self._tools is not None and mark in (self._tools.start, self._tools.call):
            return _In.CALLS
        if self._thinking is not None and mark == self._thinking.start:
            return _In.THINKING
        ends = self._in is _In.CALLS or (self._thinking is not None and mark == self._thinking.end)
        return _In.ANSWER if ends else self._in


@lru_cache(_LANGUAGES)
def _marks(language: Language, *, offered: bool) -> tuple[dict[_In, Marks], Marks]:
    """The marks that mean something in each place, one that ends what never began left out; and all there are.

    With tools `offered`, marks of single calls stand outside of a section only by a slip.
    """
    tools, thinking = language.tools, language.reasoning
    within = [tools.start, tools.end] if tools is not None else []
    about = [thinking.start, thinking.end] if thinking is not None else []
    slips = [tools.call, *tools.inner] if tools is not None and offered else []
    own = Marks([*within, *about, *language.hidden, *slips])
    return {_In.ANSWER: own, _In.THINKING: own, _In.CALLS: Marks(within)}, Marks(all_marks(language))


def all_marks(language: Language) -> list[str]:
    """Whatever of a family's marks no client may see."""
    tools, thinking = language.tools, language.reasoning
    about = [thinking.start, thinking.end] if thinking is not None else []
    calls = [tools.start, tools.end, *tools.inner] if tools is not None else []
    return [*language.hidden, *language.ends, *about, *calls]
