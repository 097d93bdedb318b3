"""The `limit` of a listing, as a query has it: of the models, and of a response's input items. Pure."""

from __future__ import annotations

from src.errors import InvalidRequest


def page_size(limit: str | None, default: int, most: int) -> int:
    """How many entries one page has.

    Raises:
        InvalidRequest: the limit is no number from 1 to `most`.
    """
    if limit is None:
        return default
    # a text of any length may come: `int` refuses thousands of digits with an error of its own
    size = int(limit) if limit.isdecimal() and len(limit) <= len(str(most)) else 0
    if not 1 <= size <= most:
        raise InvalidRequest(f"limit must be a number from 1 to {most}.", param="limit")
    return size
