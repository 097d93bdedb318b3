"""When systemd's watchdog is fed."""

from __future__ import annotations

import pytest

from src.supervisor.watchdog import Silence, overdue


@pytest.mark.parametrize(
    ("silent_s", "fed"), [(0.0, True), (9.0, True), (15.0, True), (19.9, True), (20.1, False), (600.0, False)]
)
def test_the_watchdog_bites_when_nobody_acts(silent_s: float, *, fed: bool) -> None:
    """A child that counts as ready and is silent beyond the supervisor's own patience stops the feeding."""
    silences = [Silence("web", 0.2, 30.0), Silence("engine", silent_s, 10.0)]
    assert overdue(silences) == ([] if fed else ["engine"])
