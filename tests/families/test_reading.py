"""Every family's answers, whole and cut at every place: the same thinking, text and calls, and never a mark."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from loguru import logger

from src.gpu import blas

blas.preload()  # before anything imports MLX

from src.engine.backend import OutputParser, Pieces  # noqa: E402
from src.engine.families.formats import Language  # noqa: E402
from src.engine.families.reader import all_marks  # noqa: E402
from src.engine.families.recognition import Signs, recognise  # noqa: E402
from src.engine.mlx.text.reading import reader  # noqa: E402
from src.ipc.messages.chat import GenerateRequest, Tool, ToolChoice  # noqa: E402
from tests.families.cases import NESTED, ONE, PARAMETERS, QUOTES, TWO, UNICODE, WRITTEN, Call, Written  # noqa: E402

TOOLS = (Tool("weather", None, json.dumps(PARAMETERS)), Tool("stop"))
IDS = [f"{at}-{each.family}" for at, each in enumerate(WRITTEN)]
every = pytest.mark.parametrize("written", WRITTEN, ids=IDS)
THOUGHT = "It is <4>, or 5?\nYes: {4}."
MADE: list[list[Call]] = [[ONE], [TWO], [ONE, TWO], [TWO, ONE, NESTED], [NESTED], [QUOTES], [UNICODE]]
ANSWER = "Here: 4 < 5, [a] {b}.\n\nAnd *more*."


@pytest.fixture(autouse=True, scope="module")
def _quiet() -> Iterator[None]:
    """Each call that cannot be read is logged: thousands here."""
    logger.disable("src.engine.families")
    yield
    logger.enable("src.engine.families")


@cache
def language(written: Written) -> Language:
    """As the family is recognised: its template shows a thought, calls and an answer."""
    thought = written.thought("T") if written.thought is not None else ""
    template = written.template or written.calls([ONE])
    return recognise(Signs(f"{{{{ tools }}}}{template}{thought}", frozenset(written.vocabulary)))


def parser(written: Written, *, tools: bool = True) -> OutputParser:
    counter: Iterator[int] = itertools.count()
    request = GenerateRequest("r", "m", (), tools=TOOLS if tools else (), tool_choice=ToolChoice("auto"))
    found = reader(language(written), request, lambda: f"call_{next(counter)}", thinking=False)
    assert found is not None
    return found


def read(written: Written, text: str, size: int | None = None, *, ended: bool = True, tools: bool = True) -> Pieces:
    one, found, step = parser(written, tools=tools), Pieces(), size or len(text) or 1
    for at in range(0, len(text), step):
        found += one.push(text[at : at + step])
    return found + one.flush() if ended else found


def calls(pieces: Pieces) -> list[tuple[str | None, Any]]:
    made: list[tuple[str | None, str]] = []
    for piece in pieces.calls:
        if piece.id is not None:
            made.append((piece.name, piece.arguments))
        else:
            made[-1] = (made[-1][0], made[-1][1] + piece.arguments)
    return [(name, json.loads(arguments)) for name, arguments in made]


def shown(pieces: Pieces) -> str:
    return (
        pieces.text
        + "|"
        + pieces.reasoning
        + "|"
        + "".join(piece.arguments + (piece.name or "") for piece in pieces.calls)
    )


@cache
def _marks(written: Written) -> tuple[str, ...]:
    return tuple(mark for mark in all_marks(language(written)) if len(mark) > 2)


def leaks(written: Written, pieces: Pieces) -> list[str]:
    text = shown(pieces)
    return [mark for mark in _marks(written) if mark in text]


@every
def test_it_is_recognised(written: Written) -> None:
    assert language(written).family == written.family


def both(written: Written, text: str) -> Pieces:
    """What a text is, which is the same whole and in pieces."""
    whole = read(written, text)
    for size in (1, 2, 3, 7):
        pieces = read(written, text, size)
        assert (pieces.text, pieces.reasoning) == (whole.text, whole.reasoning)
        assert calls(pieces) == calls(whole)
    assert leaks(written, whole) == []
    return whole


@every
def test_a_plain_answer(written: Written) -> None:
    found = both(written, written.answer(ANSWER))
    assert (found.text, found.reasoning, found.calls) == (ANSWER, "", ())


@every
def test_a_thought_and_an_answer(written: Written) -> None:
    if written.thought is None:
        return
    found = both(written, written.thought(THOUGHT) + written.answer(ANSWER))
    assert (found.text, found.reasoning, found.calls) == (ANSWER, THOUGHT, ())


@every
def test_calls(written: Written) -> None:
    for made in MADE:
        found = both(written, written.calls(made))
        assert calls(found) == made
        assert (found.text, found.reasoning) == ("", "")


@every
def test_calls_behind_a_thought(written: Written) -> None:
    if written.thought is None:
        return
    found = both(written, written.thought(THOUGHT) + written.calls([ONE, TWO]))
    assert calls(found) == [ONE, TWO]
    assert (found.text, found.reasoning) == ("", THOUGHT)


@every
def test_null_arguments(written: Written) -> None:
    if written.null:
        assert calls(both(written, written.null)) == [TWO]


@every
def test_a_broken_call_is_shown_without_its_marks(written: Written) -> None:
    if written.broken:
        found = both(written, written.broken)
        assert found.calls == ()
        assert "weather" in found.text


@every
def test_no_mark_leaks_wherever_it_is_cut(written: Written) -> None:
    """At max_tokens or a stop string: what is whole of it is there, and no piece of a mark."""
    thought = written.thought(THOUGHT) if written.thought is not None else ""
    text = thought + written.calls([ONE, NESTED])
    whole = read(written, text)
    made = "".join(piece.arguments for piece in whole.calls)
    for cut in range(len(text)):
        one = parser(written)
        found = one.push(text[:cut]) + one.flush()
        assert leaks(written, found) == [], text[:cut]
        assert whole.reasoning.startswith(found.reasoning.rstrip())
        names = [piece.name for piece in found.calls if piece.name]
        assert names == ["weather", "weather"][: len(names)]
        arguments = "".join(piece.arguments for piece in found.calls)
        assert made.startswith(arguments), text[:cut]


@every
def test_cut_and_resumed(written: Written) -> None:
    """A fresh engine that replays what was sent goes on to the same end: what was told stays told."""
    text = (written.thought(THOUGHT) if written.thought is not None else "") + written.calls([ONE, TWO])
    whole = read(written, text)
    for cut in range(0, len(text), 5):
        one = parser(written)
        assert calls(one.push(text[:cut]) + one.push(text[cut:]) + one.flush()) == calls(whole)


@every
def test_without_tools_nothing_is_called(written: Written) -> None:
    found = (
        read(written, written.answer(ANSWER), tools=False)
        if language(written).reasoning or language(written).hidden
        else None
    )
    assert found is None or (found.text, found.calls) == (ANSWER, ())
