"""White space of a block: gaps between columns, and heights at which it may be cut. Pure; used by `columns`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise

from src.ocr.rows import Box

_FEW = 0.06  # share of a block's lines


def vertical_gaps(boxes: Sequence[Box], least_width: float, most: int) -> list[float]:
    """Middles of vertical gaps that fewer boxes cross than cross the lines beside them: the emptiest first.

    A gap goes on where only a few more boxes cross it, such as the begin of a title.
    """
    edges = sorted([(box.trimmed_left, 1) for box in boxes] + [(box.trimmed_right, -1) for box in boxes])
    places = [x for x, _ in edges]
    crossing = list(accumulate(step for _, step in edges))
    few, found = max(1, int(_FEW * len(boxes))), list[int]()
    wide = [at for at in range(len(edges) - 1) if places[at + 1] - places[at] > least_width]
    for at in sorted(wide, key=lambda at: (crossing[at], places[at] - places[at + 1])):
        walls = [0, len(edges) - 1, *found]
        if all(max(crossing[min(at, wall) : max(at, wall) + 1]) > crossing[at] + few for wall in walls):
            found.append(at)
        if len(found) == most:
            break
    return [_widest(places, *_widened(crossing, at, few)) for at in found]


def _widest(places: list[float], first: int, last: int) -> float:
    """The middle of the widest of some intervals."""
    width, start = max((places[at + 1] - places[at], places[at]) for at in range(first, last + 1))
    return start + width / 2


def _widened(crossing: list[int], at: int, few: int) -> tuple[int, int]:
    """The first and last interval around one that are crossed by a few more boxes at most."""
    most, first, last = crossing[at] + few, at, at
    while first > 0 and 0 < crossing[first - 1] <= most:
        first -= 1
    while last + 2 < len(crossing) and crossing[last + 1] <= most:
        last += 1
    return first, last


def spans(boxes: list[Box]) -> list[tuple[float, float]]:
    """Heights that boxes cover, joined where they meet; without the edges, which detectors draw too far out."""
    found: list[tuple[float, float]] = []
    for top, bottom in sorted((box.top + 0.2 * box.height, box.bottom - 0.2 * box.height) for box in boxes):
        if found and top <= found[-1][1]:
            found[-1] = found[-1][0], max(bottom, found[-1][1])
        else:
            found.append((top, bottom))
    return found


def horizontal_cuts(boxes: list[Box]) -> list[float]:
    """Heights between boxes that none of them covers, the widest first."""
    covered = spans(boxes)
    gaps = sorted((above - below, (above + below) / 2) for (_, above), (below, _) in pairwise(covered))
    return [middle for _, middle in gaps]
