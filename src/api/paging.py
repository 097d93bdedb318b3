"""What of a list a request asks for: of files, batches, a conversation's items, log lines. Web process."""

from __future__ import annotations

from typing import get_args

from flask import request

from src.api.state.rows import Order
from src.errors import InvalidRequest

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
