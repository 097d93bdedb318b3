"""Background requests: while the server is idle, so many at once, never while paused."""

from __future__ import annotations

import pytest

from src.supervisor.background import Background, Conditions, Hours


def text_of(background: Background, now: float) -> str | None:
    wait = background.wait(now)
    return None if wait is None else wait.text


def test_an_idle_server_starts_one_background_request() -> None:
    background = Background(idle_s=300, pause_s=10, now=0)
    assert not background.may_start(299)
    assert background.may_start(300)
    background.record_other_load(400)
    assert not background.may_start(699)
    assert background.may_start(700)


def test_background_requests_run_one_at_a_time_with_a_pause() -> None:
    background = Background(idle_s=0, pause_s=10, now=0)
    background.started(0)
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
    background.started(0)
    assert background.may_start(1)
    background.started(0)
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
        (Conditions(gpu_busy=0.87), "87% busy"),
        (Conditions(), None),
    ],
)
def test_the_machine_can_hold_them_up_and_says_why(machine: Conditions, word: str | None) -> None:
    background = Background(0, 0, now=0, hours=Hours.parse("22:00-07:00"), conditions=lambda: machine)
    reason = text_of(background, 1)
    assert (reason is None) == background.may_start(1) == (word is None)
    assert word is None or word in str(reason)


def test_what_else_they_wait_for_is_said() -> None:
    background = Background(idle_s=300, pause_s=10, now=0)
    assert text_of(background, 12) == "other requests 12 s ago (BACKGROUND_IDLE_SECONDS)"
    background.started(0)
    assert "BACKGROUND_MAX_SEQS" in str(text_of(background, 400))
    background.finished(400)
    assert "BACKGROUND_PAUSE_SECONDS" in str(text_of(background, 405))
    background.paused = True
    assert text_of(background, 500) == "paused"


def test_the_seconds_waited_are_counted_by_reason() -> None:
    """Only while something waits; each second for what was waited for in it."""
    background = Background(idle_s=100, pause_s=0, now=0)
    background.account(50, waiting=True)
    background.account(80, waiting=True)
    background.paused = True
    background.account(90, waiting=True)
    background.account(120, waiting=False)
    background.account(500, waiting=False)
    assert {reason: seconds for reason, seconds in background.waited_s.items() if seconds} == {
        "live_traffic": 40.0,
        "paused": 30.0,
    }


def test_who_else_uses_the_gpu_is_seen_while_nothing_of_its_own_runs() -> None:
    """A batch under way is let end every five minutes to look."""
    machine = [Conditions(gpu_busy=0.9, gpu_watched=True)]
    background = Background(0, 0, now=0, most=2, conditions=lambda: machine[0])
    assert text_of(background, 1) == "the GPU is 90% busy (BACKGROUND_GPU_WATERMARK)"
    machine[0] = Conditions(gpu_watched=True)
    assert background.may_start(10)
    background.started(10)
    machine[0] = Conditions(gpu_busy=1.0, gpu_watched=True)
    assert background.may_start(309)
    assert "end first" in str(text_of(background, 310))
    background.finished(311)
    assert "100% busy" in str(text_of(background, 311))


def test_none_begins_beside_others_however_short_the_idle_time() -> None:
    background = Background(idle_s=0, pause_s=0, now=0)
    background.record_other_load(5)
    assert not background.may_start(5)
    assert background.may_start(5.1)
