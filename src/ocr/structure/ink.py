"""Word boxes of a recognizer, which are guesses to a letter's width, fitted to the ink of the page."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from src.ocr.structure.words import Word

_REACH = 0.5  # of a word's height: how far its ink may be outside of its box


def fit(gray: NDArray[np.uint8], words: Sequence[Word]) -> list[Word]:
    """The words of one line, from left to right, each as wide as its ink between its neighbours."""
    if not words:
        return []
    middles = [(before.right + after.left) / 2 for before, after in pairwise(words)]
    lefts = [words[0].left - _REACH * words[0].height, *middles]
    rights = [*middles, words[-1].right + _REACH * words[-1].height]
    columns = _inked(gray, words)
    return [_fitted(columns, *one) for one in zip(words, lefts, rights, strict=True)]


def _inked(gray: NDArray[np.uint8], words: Sequence[Word]) -> NDArray[np.bool_]:
    """Which columns of the page have ink at the height of the line."""
    top, bottom = min(word.top for word in words), max(word.bottom for word in words)
    crop = gray[max(0, int(top)) : max(0, int(bottom)) + 1]
    inside = crop[:, max(0, int(words[0].left)) : max(0, int(words[-1].right)) + 1]
    if not inside.size:
        return np.zeros(gray.shape[1], np.bool_)
    lightest, darkest = int(np.percentile(inside, 90)), int(inside.min())
    return np.asarray((crop < (lightest + darkest) / 2).any(axis=0), np.bool_)


def _fitted(columns: NDArray[np.bool_], word: Word, left: float, right: float) -> Word:
    left = max(left, word.left - _REACH * word.height, 0)
    right = min(right, word.right + _REACH * word.height)
    found = np.flatnonzero(columns[int(left) : int(right) + 1])
    if not len(found):
        return word
    first, last = int(left) + float(found[0]), int(left) + float(found[-1]) + 1
    return Word(first, word.top, last, word.bottom, word.text, word.line, word.bold)
