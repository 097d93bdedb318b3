"""Æ and Œ that were read as two letters, told by their ink: an A and an E that touch. Pure; called by `rapid`.

Only on pages that hold other letters of such languages: in small print A and E may touch in any word.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from src.ocr.word_boxes import LineInk, blank_between

_LIGATURES = {"AE": "Æ", "OE": "Œ"}
_SIGNS = {"AE": frozenset("æÆøØ"), "OE": frozenset("œŒ")}  # letters of languages that have the ligature
_STEP = 2  # columns from a ligature's first half to its second, at most


def expected(texts: Iterable[str]) -> tuple[str, ...]:
    """The pairs of letters that may be ligatures on a page with these lines."""
    letters = set().union(*map(set, texts))
    return tuple(pair for pair, signs in _SIGNS.items() if signs & letters)


def joined(
    text: str, columns: Sequence[int], width: float, ink: LineInk, pairs: Sequence[str]
) -> tuple[str, list[int]]:
    """The text with its ligatures, and the columns of its characters but white space."""
    places = list(columns)
    if not any(pair in text for pair in pairs) or sum(map(len, text.split())) != len(places):
        return text, places
    symbols, at = list(text), 0
    for index in range(len(text) - 1):
        at += not text[index].isspace()  # of the next symbol's column
        pair = text[index : index + 2]
        if pair in pairs and places[at] - places[at - 1] <= _STEP and not blank_between(places, at, width, ink):
            symbols[index], symbols[index + 1] = _LIGATURES[pair], ""
    kept = [index for index, symbol in enumerate(symbols) if not text[index].isspace()]
    return "".join(symbols), [place for index, place in zip(kept, places, strict=True) if symbols[index]]
