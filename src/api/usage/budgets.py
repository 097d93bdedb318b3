"""Budgets: how many tokens and pages a key may use in a UTC day. Checked before work begins, for every way it comes.

A key's line in the file of keys has its own; else a user's key has the settings'. Work that runs when a budget is used
up is finished, so that work side by side may exceed it. Web process; the arithmetic is pure.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from src.api.state.usage import UsageCounts
from src.api.usage.ledger import UsageLedger
from src.errors import InsufficientQuota
from src.keys import Key, KeyRing
from src.settings import SecuritySettings

Unit = Literal["tokens", "pages"]
UNITS: tuple[Unit, ...] = ("tokens", "pages")
_DAY_S = 86_400.0


@dataclass(frozen=True)
class KeyBudget:
    """Of a key and a day; `spent` so far."""

    unit: Unit
    limit: int
    spent: int

    @property
    def remaining(self) -> int:
        return max(0, self.limit - self.spent)


class Budgets:
    """One per web process."""

    def __init__(
        self, ring: KeyRing, settings: SecuritySettings, ledger: UsageLedger, clock: Callable[[], float] = time.time
    ) -> None:
        self._limits = {key.name: limits_of(key, settings) for key in ring.keys.values()}
        self._ledger, self._clock = ledger, clock

    @property
    def keys(self) -> list[str]:
        """Those that have one."""
        return sorted(name for name, limits in self._limits.items() if limits)

    def check(self, key: str, unit: Unit) -> None:
        """Raises InsufficientQuota when the key's budget is used up."""
        if unit in self._limits.get(key, {}) and not (budget := self._of(key, unit)).remaining:
            text = f"The key {key!r} has used {budget.spent} of its {budget.limit} {unit} of today (UTC)"
            after_s = self.reset_s()
            raise InsufficientQuota(f"{text}; its budget begins anew in {_shown(after_s)}.", retry_after_s=after_s)

    def is_used_up(self, key: str, unit: Unit) -> bool:
        return unit in self._limits.get(key, {}) and not self._of(key, unit).remaining

    def of(self, key: str) -> Iterator[KeyBudget]:
        for unit in self._limits.get(key, {}):
            yield self._of(key, unit)

    def headers(self, key: str) -> dict[str, str]:
        """Of a response, as it is when its head is written: a stream has not been charged yet."""
        shown: dict[str, str] = {}
        for budget in self.of(key):
            kind = f"{budget.unit}-day"
            shown[f"x-ratelimit-limit-{kind}"] = str(budget.limit)
            shown[f"x-ratelimit-remaining-{kind}"] = str(budget.remaining)
            shown[f"x-ratelimit-reset-{kind}"] = f"{self.reset_s():.0f}s"
        return shown

    def reset_s(self) -> float:
        """Seconds until the next UTC day."""
        return _DAY_S - self._clock() % _DAY_S

    def _of(self, key: str, unit: Unit) -> KeyBudget:
        return KeyBudget(unit, self._limits[key][unit], used_of(self._ledger.spent(key), unit))


def limits_of(key: Key, settings: SecuritySettings) -> Mapping[Unit, int]:
    """A key's limits; a unit that has none is not there."""
    is_user = key.role == "user"
    own = {"tokens": key.terms.tokens_per_day, "pages": key.terms.pages_per_day}
    default = {"tokens": settings.key_tokens_per_day, "pages": settings.key_pages_per_day}
    limits = {unit: _first(own[unit], default[unit] if is_user else 0) for unit in UNITS}
    return {unit: limit for unit, limit in limits.items() if limit}


def _first(own: int | None, default: int) -> int:
    return default if own is None else own


def used_of(counts: UsageCounts, unit: Unit) -> int:
    return counts.tokens if unit == "tokens" else counts.pages


def _shown(seconds: float) -> str:
    minutes = int(seconds // 60) + 1
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"
