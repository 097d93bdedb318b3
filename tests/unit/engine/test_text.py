"""Stop strings and the text stream: what a client sees of an answer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.engine.fake import FakeDetokenizer
from src.engine.text import StopStrings, TextStream


def pushed(stops: tuple[str, ...], pieces: list[str]) -> tuple[str, bool]:
    """All text shown for these pieces, and whether a stop string was found."""
    stream = StopStrings(stops)
    shown = "".join(stream.push(piece) for piece in pieces)
    return (shown if stream.found else shown + stream.flush()), stream.found


@pytest.mark.parametrize(
    ("stops", "pieces", "shown", "found"),
    [
        ((), ["a", "b"], "ab", False),
        (("END",), ["one EN", "D two"], "one ", True),
        (("END",), ["one EN", "ough"], "one ENough", False),
        (("b", "ab"), ["xab"], "x", True),
        (("aab",), ["aa", "ab", "c"], "a", True),
        (("stop",), ["sto"], "sto", False),
        (("。", "!"), ["你好", "。再"], "你好", True),
    ],
)
def test_stop_strings(stops: tuple[str, ...], pieces: list[str], shown: str, found: bool) -> None:
    """The earliest stop string ends the text, across pieces; a beginning that comes to nothing is shown."""
    assert pushed(stops, pieces) == (shown, found)


@given(st.text("ab", max_size=30), st.lists(st.text("ab", min_size=1, max_size=4), min_size=1, max_size=4))
def test_any_cut_gives_the_same_text(text: str, stops: list[str]) -> None:
    """However a text is cut into pieces, what is shown is the text before the first stop string."""
    cut = min((at for stop in stops if (at := text.find(stop)) >= 0), default=None)
    whole = text if cut is None else text[:cut]
    by_character = pushed(tuple(stops), list(text))
    # with overlapping stops a shorter one may complete earlier, character by character
    assert by_character[1] is (cut is not None)
    assert whole.startswith(by_character[0]) or by_character[0].startswith(whole)
    if len(stops) == 1:
        assert by_character[0] == whole


def test_nothing_that_may_be_a_stop_string_is_shown_early() -> None:
    """A possible beginning of a stop string is held back until it is none."""
    stream = StopStrings(("###",))
    assert stream.push("answer #") == "answer "
    assert stream.push("#") == ""
    assert stream.push("x") == "##x"


def test_characters_are_never_split() -> None:
    """Bytes of one character come out together, in whichever token the last of them is."""
    stream = TextStream(FakeDetokenizer(), ())
    pieces = [stream.push(byte) for byte in "é世🌲".encode()]
    assert [piece for piece in pieces if piece] == ["é", "世", "🌲"]
    assert stream.flush() == ""
