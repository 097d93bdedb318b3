"""Spaces between the words of a recognized line, held against the blanks in its picture. Pure; called by `rapid`.

The recognizer sees columns of eight pixels: beside a wide letter or digit it loses a space, and in blurred print it
puts one into a word. A blank as wide as the line's other spaces is one; between letters that touch there is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from src.ocr.word_boxes import LineInk, blank_between, exact_blanks

_FEWEST = 2  # spaces in a line that tell how wide one is; with fewer it is
_USUAL = 0.4  # heights of its ink
_AS_WIDE = 0.85  # times the usual one: a space
_WIDER = 1.5  # times any blank between letters
_STEP = 1.4  # times the usual step between characters
_NARROW = 0.3  # times the usual space: none
_SHORTEST = 4  # characters
_THIN = frozenset(".,:;'!|1ijlIt()[]/\\\"-")  # with blanks of their own beside them
_THIN_LETTERS = frozenset("ijltI|")  # whose blanks are told from spaces where each is measured
_FIGURES = 1.6  # times the usual space beside a 1 in a number: figures are equally wide


@dataclass(frozen=True)
class _Pair:
    """Neighbouring characters: whether a space was read between them, their step in columns, the blank between them."""

    before: str
    after: str
    spaced: bool
    step: int
    blank: float


def corrected(text: str, columns: Sequence[int], width: float, ink: LineInk, aspect: float) -> str:
    """The text with spaces where the picture has them.

    `columns`: of each character but white space; `aspect`: the picture's height by its width.
    """
    words = text.split()
    symbols = "".join(words)
    if len(symbols) != len(columns) or len(symbols) < _SHORTEST or width <= 0:
        return text
    ends = {len("".join(words[:count])) for count in range(1, len(words))}
    numbers = range(1, len(symbols))
    exact = exact_blanks(columns, width, ink)
    blanks = exact or [blank_between(columns, at, width, ink) for at in numbers]
    pairs = [
        _Pair(symbols[at - 1], symbols[at], at in ends, columns[at] - columns[at - 1], blank)
        for at, blank in zip(numbers, blanks, strict=True)
    ]
    spaced = _spaced(pairs, _USUAL * aspect * (ink.rows[1] - ink.rows[0]), exact=exact is not None)
    return symbols[0] + "".join((" " if one else "") + pair.after for pair, one in zip(pairs, spaced, strict=True))


def _spaced(pairs: Sequence[_Pair], assumed: float, *, exact: bool) -> list[bool]:
    """Of each pair, whether there is a space. `assumed`: how wide one is, where the line does not tell.

    `exact`: each pair's blank was measured between the two.
    """
    known, within = [pair.blank for pair in pairs if pair.spaced], [pair for pair in pairs if not pair.spaced]
    usual = median(known) if len(known) >= _FEWEST else assumed
    if not usual or len(within) < _FEWEST:
        return [pair.spaced for pair in pairs]
    widest, step = sorted(pair.blank for pair in within)[-2:][0], median(pair.step for pair in within)
    least = 0.0 if exact else _STEP * step
    return [
        not _is_none(pair, usual, widest)
        if pair.spaced
        else pair.step >= least and _may_be_apart(pair, exact=exact) and _is_space(pair, usual, widest)
        for pair in pairs
    ]


def _may_be_apart(pair: _Pair, *, exact: bool) -> bool:
    """Whether a wide blank between these characters would be a space."""
    both = {pair.before, pair.after}
    return all(map(str.isascii, both)) and not both & (_THIN - {"1"} - (_THIN_LETTERS if exact else frozenset()))


def _is_space(pair: _Pair, usual: float, widest: float) -> bool:
    """`widest`: of the other blanks between letters."""
    figures = "1" in (pair.before, pair.after) and pair.before.isdigit() and pair.after.isdigit()
    return pair.blank >= (_FIGURES if figures else _AS_WIDE) * usual and pair.blank > _WIDER * widest


def _is_none(pair: _Pair, usual: float, widest: float) -> bool:
    letters = pair.before.islower() and pair.after.islower() and pair.before.isascii() and pair.after.isascii()
    return letters and pair.blank < _NARROW * usual and pair.blank <= widest
