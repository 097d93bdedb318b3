"""The record of what a client has been given: immutable, and all that a fresh engine needs to go on."""

from __future__ import annotations

from functools import reduce

from src.api.generation.resume import Delivered
from src.ipc.messages.chat import (
    Admitted,
    ChatMessage,
    Choice,
    ChoiceEnded,
    Delta,
    Embedded,
    EmbedRequest,
    GenerateRequest,
    RawPrompt,
)
from src.ipc.messages.wire import AnyMessage
from tests.unit.api.fakes import finished

REQUEST = GenerateRequest("r", "demo", (ChatMessage("user", "hello"),))
THREE = GenerateRequest("r", "demo", (), choices=(Choice(0), Choice(1), Choice(2)))


def given(*messages: AnyMessage) -> Delivered:
    return reduce(Delivered.after, messages, Delivered())


def test_nothing_is_changed() -> None:
    """Each message makes a record of its own; what was recorded before stays as it was."""
    first = given(Admitted(5, 100), Delta((1,), "a"))
    second = first.after(Delta((2, 3), "b")).after(ChoiceEnded(0, "stop"))
    assert (first.tokens(0), first.ended) == ((1,), frozenset())
    assert (second.tokens(0), second.ended) == ((1, 2, 3), frozenset({0}))
    assert first.after(Delta((9,), "c")).tokens(0) == (1, 9)
    assert second.tokens(0) == (1, 2, 3)


def test_a_token_costs_the_same_behind_any_number_of_others() -> None:
    """What was given before is not copied: a copy for each token would make long answers quadratic."""
    first = given(Delta((1,), "a"))
    second = first.after(Delta((2,), "b"))
    assert second.given[0].tokens is first.given[0].tokens


def test_what_comes_together_is_one_record() -> None:
    """As if each had come alone, of each choice in its order."""
    deltas = (Delta((1,), "a"), Delta((5, 6), "b", 1), Delta((2, 3), "c"), Delta((), "d", 2, unreported_tokens=1))
    together, alone = given(Delta((9,), "z")).after_deltas(deltas), given(Delta((9,), "z"), *deltas)
    for record in (together, alone):
        assert [record.tokens(index) for index in range(3)] == [(9, 1, 2, 3), (5, 6), ()]
        assert record.unreported


def test_what_is_left_of_one_answer() -> None:
    """Nothing before it was admitted; after that, what follows its tokens, within the same limit."""
    assert given().rest_of(REQUEST, 0) == REQUEST
    rest = given(Admitted(5, 100), Delta((1, 2), "ab")).rest_of(REQUEST, 1.5)
    assert isinstance(rest, GenerateRequest)
    assert (rest.prefix, rest.max_tokens, rest.spent_s, rest.choices) == ((1, 2), 100, 1.5, ())


def test_what_is_left_of_several_choices() -> None:
    """Those that have ended are left out, and their tokens are in the usage all the same."""
    record = given(Admitted(5, 100), Delta((1,), "a", 0), Delta((2, 3), "b", 1), ChoiceEnded(1, "stop"))
    rest = record.rest_of(THREE, 0)
    assert isinstance(rest, GenerateRequest)
    assert (rest.prefix, rest.choices) == ((), (Choice(0, (1,)), Choice(2)))
    assert record.completed(finished(completion=7)).usage.completion_tokens == 9


def test_texts_are_put_again_whole() -> None:
    """Only whether they were in an engine before is told."""
    texts = EmbedRequest("e", "demo", (RawPrompt("a"),))
    assert given().rest_of(texts, 0) == texts
    again = given(Admitted(5, 0), Embedded(0, b"x")).rest_of(texts, 0)
    assert isinstance(again, EmbedRequest)
    assert (again.retried, again.inputs) == (True, texts.inputs)


def test_whether_an_answer_has_begun() -> None:
    """An admission alone shows nothing of it; a token, a vector, or a piece whose tokens are not told does."""
    assert not given(Admitted(5, 100)).begun
    for message in (Delta((1,), "a"), Delta((), "a", unreported_tokens=1), Embedded(0, b"x")):
        assert given(message).begun
    assert given(Delta((), "a", unreported_tokens=1)).unreported
