"""When systemd's watchdog is fed."""

from __future__ import annotations

import pytest

from src.supervisor.watchdog import HeartbeatAge, overdue


@pytest.mark.parametrize(
    ("age_s", "fed"), [(0.0, True), (9.0, True), (15.0, True), (19.9, True), (20.1, False), (600.0, False)]
)
def test_the_watchdog_is_not_fed_after_an_unhandled_heartbeat_timeout(age_s: float, *, fed: bool) -> None:
    """A ready child whose heartbeat timed out without a reaction stops the feeding."""
    ages = [HeartbeatAge("web", 0.2, 30.0), HeartbeatAge("engine", age_s, 10.0)]
    assert overdue(ages) == ([] if fed else ["engine"])
