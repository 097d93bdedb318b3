"""When idleness moves a model."""

from __future__ import annotations

import pytest

from src.gpu.lifecycle import IdleTimes, Location, idle_move

TIMES = IdleTimes(to_cpu_s=600, to_unloaded_s=3600)


@pytest.mark.parametrize(
    ("location", "idle_s", "expected"),
    [
        ("gpu", 599, "gpu"),
        ("gpu", 600, "cpu"),
        ("gpu", 3600, "unloaded"),
        ("cpu", 600, "cpu"),
        ("cpu", 3600, "unloaded"),
        ("unloaded", 9999, "unloaded"),
    ],
)
def test_idle_time_moves_a_model_away_in_two_steps(location: Location, idle_s: float, expected: Location) -> None:
    assert idle_move(location, idle_s, TIMES, busy=False, pinned=False) == expected


@pytest.mark.parametrize(("busy", "pinned"), [(True, False), (False, True)])
def test_a_model_in_use_or_pinned_stays(busy: bool, pinned: bool) -> None:
    assert idle_move("gpu", 1e9, TIMES, busy=busy, pinned=pinned) == "gpu"


def test_zero_turns_a_timer_off() -> None:
    assert idle_move("gpu", 1e9, IdleTimes(0, 0), busy=False, pinned=False) == "gpu"
    assert idle_move("gpu", 1e9, IdleTimes(0, 10), busy=False, pinned=False) == "unloaded"
