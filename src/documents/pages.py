"""Page selections: `1-3,5`, or a list of numbers from 0. Pure.

The web process rejects invalid selections; the broker rejects pages beyond the end.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from src.errors import InvalidRequest

Ranges = tuple[tuple[int, int], ...]

_MAX_TEXT = 2048
_RANGE = re.compile(r"([1-9][0-9]{0,6})(?:-([1-9][0-9]{0,6}))?")


def parse(text: str) -> Ranges:
    """`1-3,5` (from 1, both ends count) as ranges from 0.

    Raises:
        InvalidRequest: for anything else.
    """
    if len(text) > _MAX_TEXT:
        raise _invalid("is too long")
    found = [_RANGE.fullmatch(part.strip()) for part in text.split(",")]
    ranges = tuple((int(m[1]) - 1, int(m[2] or m[1]) - 1) for m in found if m)
    if len(ranges) < len(found):
        raise _invalid('must look like "1-3,5", counted from 1')
    if any(last < first for first, last in ranges):
        raise _invalid("has a range that ends before it begins")
    return ranges


def from_zero(text: str) -> str:
    """The selection `0-2,4`, as Mistral's API counts, counted from 1."""
    return re.sub(r"[0-9]{1,7}", lambda number: str(int(number[0]) + 1), text[: _MAX_TEXT + 1])


def names_page_zero(text: str) -> bool:
    return re.search(r"(?<![0-9])0+(?![0-9])", text) is not None


def from_list(numbers: Sequence[int]) -> Ranges:
    """Numbers from 0, as Mistral's API counts."""
    if any(number < 0 for number in numbers):
        raise _invalid("must not be negative")
    return tuple((number, number) for number in numbers)


def select(ranges: Ranges, total: int, *, more: bool = False) -> tuple[int, ...]:
    """The selected numbers, sorted and unique; all pages without ranges.

    `more`: the document has more than were counted.

    Raises:
        InvalidRequest: when one is beyond the end.
    """
    if not ranges:
        return tuple(range(total))
    if max(last for _, last in ranges) >= total:
        end = f"those that are counted: the document has more than {total - 1}" if more else f"the end: it has {total}"
        raise _invalid(f"names a page beyond {end} pages")
    return tuple(sorted({number for first, last in ranges for number in range(first, last + 1)}))


def _invalid(why: str) -> InvalidRequest:
    return InvalidRequest(f"'pages' {why}.", param="pages")
