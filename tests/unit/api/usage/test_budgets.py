"""Budgets of a key and day: whose they are, when they are used up, when they begin anew."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from src.api.state.database import Database
from src.api.state.usage import UsageCounts
from src.api.usage.budgets import Budgets, Unit, limits_of
from src.api.usage.ledger import UsageLedger
from src.errors import InsufficientQuota
from src.key_terms import Terms
from src.keys import Key, KeyRing, Role
from src.settings import SecuritySettings
from tests.unit.clock import Clock

DAY = 86_400.0
DEFAULTS = SecuritySettings(key_tokens_per_day=1000, key_pages_per_day=10)


@pytest.mark.parametrize(
    ("role", "terms", "limits"),
    [
        ("user", Terms(), {"tokens": 1000, "pages": 10}),
        ("user", Terms(tokens_per_day=5), {"tokens": 5, "pages": 10}),
        ("user", Terms(tokens_per_day=0), {"pages": 10}),
        ("admin", Terms(), {}),
        ("admin", Terms(pages_per_day=3), {"pages": 3}),
    ],
)
def test_a_keys_own_budget_comes_before_the_settings(role: Role, terms: Terms, limits: dict[Unit, int]) -> None:
    assert limits_of(Key("app", role, terms=terms), DEFAULTS) == limits


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[UsageLedger]:
    state = Database(tmp_path / "state")
    yield UsageLedger(state, 400, CLOCK)
    state.close()


CLOCK = Clock(DAY + 3600.0)


def test_a_budget_ends_and_begins_anew(ledger: UsageLedger) -> None:
    CLOCK.now = DAY + 3600.0
    ring = KeyRing({b"1": Key("app", "user"), b"2": Key("root", "admin")})
    budgets = Budgets(ring, DEFAULTS, ledger, CLOCK)
    ledger.add("app", "demo", UsageCounts(1, 600, 0, 399))
    budgets.check("app", "tokens")
    assert budgets.headers("app")["x-ratelimit-remaining-tokens-day"] == "1"
    ledger.add("app", "demo", UsageCounts(1, 50, 0, 50))
    with pytest.raises(InsufficientQuota) as caught:
        budgets.check("app", "tokens")
    assert caught.value.retry_after_s == 23 * 3600
    assert "1099 of its 1000 tokens of today (UTC); its budget begins anew in 23 h" in caught.value.message
    assert budgets.is_used_up("app", "tokens")
    budgets.check("app", "pages")
    budgets.check("root", "tokens")
    budgets.check("", "tokens")
    assert budgets.headers("app") == {
        "x-ratelimit-limit-tokens-day": "1000",
        "x-ratelimit-remaining-tokens-day": "0",
        "x-ratelimit-reset-tokens-day": "82800s",
        "x-ratelimit-limit-pages-day": "10",
        "x-ratelimit-remaining-pages-day": "10",
        "x-ratelimit-reset-pages-day": "82800s",
    }
    CLOCK.now = 2 * DAY
    assert not budgets.is_used_up("app", "tokens")
