"""Detects repetition loops in generated tokens. Pure; called by the VLM recognizer during decode.

Real pages repeat too (dots, empty cells), so a loop has a short period, many repetitions, and a minimum length.
"""

from __future__ import annotations

from collections.abc import Sequence

_MAX_PERIOD = 64
_MIN_TIMES = 8
_MIN_TOKENS = 32


def loop_start(tokens: Sequence[int]) -> int | None:
    """The index after the first repetition of the loop at the end, or None."""
    count = len(tokens)
    for period in range(1, min(_MAX_PERIOD, count // _MIN_TIMES) + 1):
        times = _repetitions(tokens, period)
        if times >= _MIN_TIMES and times * period >= _MIN_TOKENS:
            return count - (times - 1) * period
    return None


def _repetitions(tokens: Sequence[int], period: int) -> int:
    """How often the last `period` tokens repeat at the end."""
    last, times = tokens[-period:], 1
    while (times + 1) * period <= len(tokens):
        end = len(tokens) - times * period
        if tokens[end - period : end] != last:
            break
        times += 1
    return times
