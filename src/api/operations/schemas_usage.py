"""Shapes of GET /v1/usage. Pure."""

from __future__ import annotations

from src.api.state.usage import Place, UsageCounts
from src.api.usage.budgets import KeyBudget
from src.api.wire import Wire


class UsageRow(Wire, frozen=True):
    """What was used on a day, by a key, of a model; null is all of them, or work without a key."""

    id: str
    day: str | None
    key: str | None
    model: str | None
    requests: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    total_tokens: int
    pages: int
    object: str = "usage"


class BudgetOut(Wire, frozen=True):
    """What a key may use today (UTC); `resets_at` in Unix seconds."""

    key: str
    unit: str
    limit: int
    spent: int
    remaining: int
    resets_at: int
    object: str = "usage.budget"


class UsageList(Wire, frozen=True):
    data: tuple[UsageRow, ...]
    first_id: str | None
    last_id: str | None
    has_more: bool
    budgets: tuple[BudgetOut, ...]
    object: str = "list"


def usage_out(place: Place, counts: UsageCounts) -> UsageRow:
    return UsageRow(
        id=row_id(place),
        day=place.day or None,
        key=place.key or None,
        model=place.model or None,
        requests=counts.requests,
        prompt_tokens=counts.prompt_tokens,
        cached_tokens=counts.cached_tokens,
        completion_tokens=counts.completion_tokens,
        total_tokens=counts.tokens,
        pages=counts.pages,
    )


def budget_out(key: str, budget: KeyBudget, resets_at: float) -> BudgetOut:
    return BudgetOut(key, budget.unit, budget.limit, budget.spent, budget.remaining, round(resets_at))


def row_id(place: Place) -> str:
    """Neither a day nor a key's name has a slash."""
    return f"{place.day}/{place.key}/{place.model}"


def place_of(name: str) -> Place | None:
    """The row an id names; None for what is no id."""
    parts = name.split("/", 2)
    return Place(*parts) if len(parts) == 3 else None
