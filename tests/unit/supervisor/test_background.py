"""Background requests: while the server is idle, so many at once, never while paused."""

from __future__ import annotations

import pytest

from src.supervisor.background import Background, Conditions, Hours


def test_an_idle_server_starts_one_background_request() -> None:
    background = Background(idle_s=300, pause_s=10, now=0)
    assert not background.may_start(299)
    assert background.may_start(300)
    background.record_other_load(400)
    assert not background.may_start(699)
    assert background.may_start(700)


def test_background_requests_run_one_at_a_time_with_a_pause() -> None:
    background = Background(idle_s=0, pause_s=10, now=0)
    background.started()
    assert not background.may_start(50)
    background.finished(60)
    assert not background.may_start(69)
    assert background.may_start(70)


def test_nothing_starts_while_paused() -> None:
    background = Background(idle_s=0, pause_s=0, now=0)
    background.paused = True
    assert not background.may_start(1e9)
    background.paused = False
    assert background.may_start(1e9)


def test_some_run_at_once() -> None:
    background = Background(idle_s=0, pause_s=0, now=0, most=2)
    background.started()
    assert background.may_start(1)
    background.started()
    assert not background.may_start(1)
    background.finished(2)
    assert background.may_start(2)


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("22:00-07:00", (22 * 60, 0, 6 * 60 + 59), (7 * 60, 12 * 60, 21 * 60 + 59)),
        ("01:30-02:00", (90, 119), (89, 120)),
        ("06:00-06:00", (0, 360, 1439), ()),
    ],
)
def test_hours(text: str, inside: tuple[int, ...], outside: tuple[int, ...]) -> None:
    hours = Hours.parse(text)
    assert hours is not None
    assert all(hours.contains(minute) for minute in inside)
    assert not any(hours.contains(minute) for minute in outside)
    assert Hours.parse("") is None


@pytest.mark.parametrize(
    ("machine", "word"),
    [
        (Conditions(minute=12 * 60), "BACKGROUND_HOURS"),
        (Conditions(memory_high=True), "watermark"),
        (Conditions(on_battery=True), "battery"),
        (Conditions(throttled=True), "heat"),
        (Conditions(), None),
    ],
)
def test_the_machine_can_hold_them_up_and_says_why(machine: Conditions, word: str | None) -> None:
    background = Background(0, 0, now=0, hours=Hours.parse("22:00-07:00"), conditions=lambda: machine)
    reason = background.reason(1)
    assert (reason is None) == background.may_start(1) == (word is None)
    assert word is None or word in str(reason)


def test_what_else_they_wait_for_is_said() -> None:
    background = Background(idle_s=300, pause_s=10, now=0)
    assert background.reason(12) == "other requests 12 s ago (BACKGROUND_IDLE_SECONDS)"
    background.started()
    assert "BACKGROUND_MAX_SEQS" in str(background.reason(400))
    background.finished(400)
    assert "BACKGROUND_PAUSE_SECONDS" in str(background.reason(405))
    background.paused = True
    assert background.reason(500) == "paused"
