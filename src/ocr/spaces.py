"""Spaces between the words of a recognized line, held against the blanks in its picture. Pure; called by `rapid`.

The recognizer sees columns of eight pixels: beside a wide letter or digit it loses a space, and in blurred print it
puts one into a word. A blank as wide as the line's other spaces is one; between letters that touch there is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from src.ocr.word_boxes import LineInk, blank_between

_FEWEST = 2  # spaces in a line that tell how wide one is; with fewer it is
_USUAL = 0.4  # heights of its ink
_AS_WIDE = 0.85  # times the usual one: a space
_WIDER = 1.5  # times any blank between letters
_STEP = 1.4  # times the usual step between characters
_NARROW = 0.3  # times the usual space: none
_SHORTEST = 4  # characters
_THIN = frozenset(".,:;'!|1ijlIt()[]/\\\"-")  # with blanks of their own beside them


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
    pairs = [
        _Pair(
            symbols[at - 1],
            symbols[at],
            at in ends,
            columns[at] - columns[at - 1],
            blank_between(columns, at, width, ink),
        )
        for at in range(1, len(symbols))
    ]
    return symbols[0] + "".join(
        (" " if spaced else "") + pair.after
        for pair, spaced in zip(pairs, _spaced(pairs, _USUAL * aspect * (ink.rows[1] - ink.rows[0])), strict=True)
    )


def _spaced(pairs: Sequence[_Pair], assumed: float) -> list[bool]:
    """Of each pair, whether there is a space. `assumed`: how wide one is, where the line does not tell."""
    known, within = [pair.blank for pair in pairs if pair.spaced], [pair for pair in pairs if not pair.spaced]
    usual = median(known) if len(known) >= _FEWEST else assumed
    if not usual or len(within) < _FEWEST:
        return [pair.spaced for pair in pairs]
    widest, step = sorted(pair.blank for pair in within)[-2:][0], median(pair.step for pair in within)
    return [
        not _is_none(pair, usual, widest) if pair.spaced else _is_space(pair, usual, widest, step) for pair in pairs
    ]


def _is_space(pair: _Pair, usual: float, widest: float, step: float) -> bool:
    """`widest`: of the other blanks between letters."""
    if not (pair.before.isascii() and pair.after.isascii()) or {pair.before, pair.after} & _THIN - {"1"}:
        return False
    return pair.blank >= _AS_WIDE * usual and pair.blank > _WIDER * widest and pair.step >= _STEP * step


def _is_none(pair: _Pair, usual: float, widest: float) -> bool:
    letters = pair.before.islower() and pair.after.islower() and pair.before.isascii() and pair.after.isascii()
    return letters and pair.blank < _NARROW * usual and pair.blank <= widest
