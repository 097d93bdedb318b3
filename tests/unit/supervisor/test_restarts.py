"""When a process is started again."""

from __future__ import annotations

import signal

import pytest

from src.errors import ExitCode
from src.settings import SupervisorSettings
from src.supervisor.restarts import STABLE_S, End, RestartPolicy, end_of

CRASH = End("exit", "exit code 1", 1)


def policy(**changes: float) -> RestartPolicy:
    return RestartPolicy(SupervisorSettings.model_validate(changes))


def delays(asked: RestartPolicy, times: list[float]) -> list[float]:
    return [asked.after(CRASH, now=now, ready_s=0).delay_s for now in times]


def test_the_first_restarts_come_at_once_then_pauses_double_up_to_the_ceiling() -> None:
    """Three crashes cost no pause; from then on 1, 2, 4 … RESTART_BACKOFF_MAX."""
    asked = policy(crash_limit=100, restart_backoff_max=10)
    assert delays(asked, [0, 1, 2, 3, 4, 5, 6, 7, 8]) == [0, 0, 0, 1, 2, 4, 8, 10, 10]


def test_pauses_keep_growing_though_the_window_of_the_free_ones_moves_on() -> None:
    """A crash loop that has slowed down to one a minute gets no new free restarts."""
    asked = policy(crash_limit=100, restart_backoff_max=60)
    assert delays(asked, [0, 0, 0, 0, 100, 200, 300]) == [0, 0, 0, 1, 2, 4, 8]


def test_rare_crashes_are_always_restarted_at_once() -> None:
    """One crash an hour never meets a pause."""
    assert delays(policy(), [hour * 3600.0 for hour in range(50)]) == [0.0] * 50


def test_a_stable_time_forgives() -> None:
    """After a minute of being ready the next crash counts as the first."""
    asked = policy(crash_limit=100)
    delays(asked, [0, 0, 0, 0, 0])
    assert asked.after(CRASH, now=100, ready_s=STABLE_S).delay_s == 0
    assert asked.after(CRASH, now=101, ready_s=1).delay_s == 0


def test_the_breaker_opens_after_the_limit_and_then_tries_once_at_a_time() -> None:
    """CRASH_LIMIT crashes within CRASH_WINDOW: failed, one try every BREAKER_RETRY, also when the window is past."""
    asked = policy(crash_limit=4, crash_window=300, breaker_retry=500, restart_free=9)
    assert delays(asked, [0, 1, 2]) == [0, 0, 0]
    opened = asked.after(CRASH, now=3, ready_s=0)
    assert (opened.state, opened.delay_s) == ("failed", 500)
    assert "exit code 1" in opened.detail
    assert "4 crashes within 300 s" in opened.detail
    again = asked.after(CRASH, now=503, ready_s=10)
    assert (again.state, again.delay_s) == ("failed", 500)


def test_the_breaker_closes_after_a_stable_try() -> None:
    """A try that stays ready for a minute gets the free restarts back."""
    asked = policy(crash_limit=2, restart_free=9)
    delays(asked, [0, 1])
    assert asked.after(CRASH, now=1000, ready_s=STABLE_S + 1).state == "backoff"


def test_crashes_far_apart_never_open_the_breaker() -> None:
    """Only those within the window count."""
    asked = policy(crash_limit=3, crash_window=100, restart_free=9)
    assert {asked.after(CRASH, now=now, ready_s=0).state for now in (0.0, 60.0, 120.0, 180.0, 240.0)} == {"backoff"}


@pytest.mark.parametrize("code", [ExitCode.CONFIG, ExitCode.MODEL])
def test_what_a_restart_cannot_mend_is_reported_not_retried_in_a_loop(code: ExitCode) -> None:
    """CONFIG and MODEL are `failed` at the first time, with the reason the process gave."""
    decided = policy(breaker_retry=77).after(end_of(code, "no such model: x"), now=0, ready_s=0)
    assert (decided.state, decided.delay_s) == ("failed", 77)
    assert decided.detail == "no such model: x"
    assert end_of(code, None).detail == f"exit code {int(code)} {code.name}"
    assert end_of(1, "why").detail == "why (exit code 1 FAILURE)"


def test_a_restart_someone_asked_for_forgives() -> None:
    """After `forgive` the first crash counts as the first."""
    asked = policy(crash_limit=3)
    delays(asked, [0, 0, 0])
    asked.forgive()
    assert delays(asked, [1]) == [0]


@pytest.mark.parametrize(
    ("status", "reason", "detail"),
    [
        (0, "exit", "exit code 0 OK"),
        (1, "exit", "exit code 1 FAILURE"),
        (ExitCode.ENGINE_FAULT, "fault", "exit code 4 ENGINE_FAULT"),
        (77, "exit", "exit code 77"),
        (-signal.SIGKILL, "signal", "ended by SIGKILL"),
        (-250, "signal", "ended by signal 250"),
    ],
)
def test_an_exit_status_is_put_into_words(status: int, reason: str, detail: str) -> None:
    """Reason and text tell a crash, a fault and a signal apart."""
    end = end_of(status, None)
    assert (end.reason, end.detail, end.status) == (reason, detail, status)
