"""GET /v1/usage: what keys have used, by day, key and model. A user's key sees its own, an admin's all. Web process."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import cast

from flask import Blueprint, Response, request

from src.api.edge import auth
from src.api.operations.schemas_usage import BudgetOut, UsageList, budget_out, place_of, usage_out
from src.api.paging import paging
from src.api.service import Service, json_response, service
from src.api.state import usage
from src.api.state.usage import COLUMNS, Column, Place, UsageQuery
from src.errors import InvalidRequest

blueprint = Blueprint("usage", __name__)

_MOST, _ROWS = 1000, 100
_DAYS = 30


@blueprint.get("/v1/usage")
def show() -> Response:
    """`start_date`, `end_date`, `group_by`, `key`, `model`, and a list's `after`, `limit`, `order`."""
    shared, owner = service(), auth.visible_owner()
    asked = request.args.get("key")
    key = asked if owner is None else owner
    query = _query(time.time(), key)
    if owner is not None and asked not in (None, owner):
        return json_response(UsageList((), None, None, has_more=False, budgets=()))
    shared.job_pages.poll()
    shared.usage.flush()
    found = shared.state.read(lambda db: usage.page(db, query))
    limit = query.limit - 1
    rows = tuple(usage_out(*row) for row in found[:limit])
    first, last = (rows[0].id, rows[-1].id) if rows else (None, None)
    return json_response(UsageList(rows, first, last, len(found) > limit, tuple(_budgets(shared, key))))


def _query(now: float, key: str | None) -> UsageQuery:
    """One row more than is shown is read."""
    after, limit, order = paging(_MOST, _ROWS)
    last = _day("end_date", usage.day_of(now))
    first = _day("start_date", _days_before(last, _DAYS - 1))
    if first > last:
        raise InvalidRequest("start_date is behind end_date.", param="start_date")
    return UsageQuery(first, last, _columns(), key, request.args.get("model"), _place(after), order, limit + 1)


def _days_before(day: str, days: int) -> str:
    """The calendar's first day at the earliest."""
    last = max(date.fromisoformat(day), date.min + timedelta(days))
    return (last - timedelta(days)).isoformat()


def _day(name: str, default: str) -> str:
    given = request.args.get(name, default)
    try:
        return datetime.strptime(given, "%Y-%m-%d").replace(tzinfo=UTC).date().isoformat()  # strftime: 1-01-01
    except ValueError:
        raise InvalidRequest(f"{name} must be a UTC day such as 2027-01-31.", param=name) from None


def _columns() -> tuple[Column, ...]:
    given = request.args.get("group_by")
    names = COLUMNS if given is None else tuple(given.split(","))
    if not set(names) <= set(COLUMNS):
        raise InvalidRequest(f"group_by lists some of {', '.join(COLUMNS)}.", param="group_by")
    return cast("tuple[Column, ...]", names)


def _place(after: str | None) -> Place | None:
    place = None if after is None else place_of(after)
    if after is not None and place is None:
        raise InvalidRequest("after is the id of a row of this list.", param="after")
    return place


def _budgets(shared: Service, key: str | None) -> Iterator[BudgetOut]:
    resets_at = time.time() + shared.budgets.reset_s()
    for name in shared.budgets.keys if key is None else [key]:
        for budget in shared.budgets.of(name):
            yield budget_out(name, budget, resets_at)
