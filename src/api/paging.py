"""What of a list a request asks for: of files, batches, and a conversation's items. Web process."""

from __future__ import annotations

from typing import get_args

from flask import request

from src.api.state.files import Order
from src.errors import InvalidRequest

_DIGITS = 10  # more are no number of rows


def paging(most: int, default: int | None = None) -> tuple[str | None, int, Order]:
    """`after`, `limit` and `order` of a list."""
    given, order = request.args.get("limit", str(default or most)), request.args.get("order", "desc")
    if not (given.isascii() and given.isdigit() and len(given) < _DIGITS and 1 <= int(given) <= most):
        raise InvalidRequest(f"limit must be 1 to {most}.", param="limit")
    if order not in get_args(Order):
        raise InvalidRequest("order must be asc or desc.", param="order")
    return request.args.get("after"), int(given), "asc" if order == "asc" else "desc"
