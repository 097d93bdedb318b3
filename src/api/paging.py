"""What of a list a request asks for, of files, batches, OCR jobs, a conversation's items, log lines; and what a page of
one looks like. Web process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar, get_args

from flask import request

from src.api.state.rows import Order
from src.api.wire import Wire
from src.errors import InvalidRequest


class _HasId(Protocol):
    @property
    def id(self) -> str: ...


T = TypeVar("T", bound=_HasId)
L = TypeVar("L")

_DIGITS = 10  # more are no number of rows


def paging(most: int, default: int | None = None) -> tuple[str | None, int, Order]:
    """`after`, `limit` and `order` of a list."""
    rows, order = row_limit(most, default or most), request.args.get("order", "desc")
    if order not in get_args(Order):
        raise InvalidRequest("order must be asc or desc.", param="order")
    return request.args.get("after"), rows, "asc" if order == "asc" else "desc"


def row_limit(most: int, default: int) -> int:
    """`limit`, a number of rows."""
    given = request.args.get("limit", str(default))
    if not (given.isascii() and given.isdigit() and len(given) < _DIGITS and 1 <= int(given) <= most):
        raise InvalidRequest(f"limit must be 1 to {most}.", param="limit")
    return int(given)


class Listed(Wire, Generic[T], frozen=True):
    """A page of a list, as OpenAI's: `first_id` and `last_id` are what the next request's `after` may name."""

    data: tuple[T, ...]
    first_id: str | None
    last_id: str | None
    has_more: bool
    object: str = "list"


def listed(make: Callable[[tuple[T, ...], str | None, str | None, bool], L], found: Sequence[T], limit: int) -> L:
    """Of up to `limit` + 1 found."""
    shown = tuple(found[:limit])
    first, last = (shown[0].id, shown[-1].id) if shown else (None, None)
    return make(shown, first, last, len(found) > limit)
