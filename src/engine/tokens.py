"""What token sequences have in common. Pure."""

from __future__ import annotations

_STRIDE = 256


def common_prefix(left: list[int], right: list[int]) -> int:
    """How many tokens two sequences begin with alike."""
    end, at = min(len(left), len(right)), 0
    while at < end and left[at : at + _STRIDE] == right[at : at + _STRIDE]:
        at += _STRIDE
    while at < end and left[at] == right[at]:
        at += 1
    return min(at, end)
