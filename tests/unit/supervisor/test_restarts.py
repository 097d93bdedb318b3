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


def delays(recycling: RestartPolicy, times: list[float]) -> list[float]:
    return [recycling.after(CRASH, now=now, ready_s=0).delay_s for now in times]


def test_immediate_restarts_then_exponential_backoff_up_to_the_maximum() -> None:
    """Three restarts without a delay; then 1, 2, 4 … RESTART_BACKOFF_MAX seconds."""
    recycling = policy(crash_limit=100, restart_backoff_max=10)
    assert delays(recycling, [0, 1, 2, 3, 4, 5, 6, 7, 8]) == [0, 0, 0, 1, 2, 4, 8, 10, 10]


def test_backoff_keeps_growing_in_a_slow_crash_loop() -> None:
    """A crash loop of one per minute gets no new immediate restarts."""
    recycling = policy(crash_limit=100, restart_backoff_max=60)
    assert delays(recycling, [0, 0, 0, 0, 100, 200, 300]) == [0, 0, 0, 1, 2, 4, 8]


def test_rare_crashes_restart_at_once() -> None:
    """One crash per hour never causes a backoff."""
    assert delays(policy(), [hour * 3600.0 for hour in range(50)]) == [0.0] * 50


def test_a_stable_minute_resets_the_policy() -> None:
    """After a minute of being ready the next crash counts as the first."""
    recycling = policy(crash_limit=100)
    delays(recycling, [0, 0, 0, 0, 0])
    assert recycling.after(CRASH, now=100, ready_s=STABLE_S).delay_s == 0
    assert recycling.after(CRASH, now=101, ready_s=1).delay_s == 0


def test_the_breaker_opens_at_the_crash_limit_and_retries_every_breaker_retry() -> None:
    """CRASH_LIMIT crashes within CRASH_WINDOW: failed, one retry every BREAKER_RETRY, also after the window."""
    recycling = policy(crash_limit=4, crash_window=300, breaker_retry=500, restart_free=9)
    assert delays(recycling, [0, 1, 2]) == [0, 0, 0]
    opened = recycling.after(CRASH, now=3, ready_s=0)
    assert (opened.state, opened.delay_s) == ("failed", 500)
    assert "exit code 1" in opened.detail
    assert "4 crashes within 300 s" in opened.detail
    again = recycling.after(CRASH, now=503, ready_s=10)
    assert (again.state, again.delay_s) == ("failed", 500)


def test_the_breaker_closes_after_a_stable_minute() -> None:
    """A process that stays ready for a minute gets the immediate restarts back."""
    recycling = policy(crash_limit=2, restart_free=9)
    delays(recycling, [0, 1])
    assert recycling.after(CRASH, now=1000, ready_s=STABLE_S + 1).state == "backoff"


def test_crashes_far_apart_never_open_the_breaker() -> None:
    """Only those within the window count."""
    recycling = policy(crash_limit=3, crash_window=100, restart_free=9)
    assert {recycling.after(CRASH, now=now, ready_s=0).state for now in (0.0, 60.0, 120.0, 180.0, 240.0)} == {"backoff"}


@pytest.mark.parametrize("code", [ExitCode.CONFIG, ExitCode.MODEL])
def test_config_and_model_errors_are_failed_at_once(code: ExitCode) -> None:
    """CONFIG and MODEL are `failed` at the first exit, with the reported reason."""
    decided = policy(breaker_retry=77).after(end_of(code, "no such model: x"), now=0, ready_s=0)
    assert (decided.state, decided.delay_s) == ("failed", 77)
    assert decided.detail == "no such model: x"
    assert end_of(code, None).detail == f"exit code {int(code)} {code.name}"
    assert end_of(1, "why").detail == "why (exit code 1 FAILURE)"


def test_a_requested_restart_resets_the_policy() -> None:
    """After `reset` the first crash counts as the first."""
    recycling = policy(crash_limit=3)
    delays(recycling, [0, 0, 0])
    recycling.reset()
    assert delays(recycling, [1]) == [0]


@pytest.mark.parametrize(
    ("status", "reason", "detail"),
    [
        (0, "exit", "exit code 0 OK"),
        (1, "exit", "exit code 1 FAILURE"),
        (ExitCode.ENGINE_FAULT, "fault", "exit code 4 ENGINE_FAULT"),
        (77, "exit", "exit code 77"),
        (-signal.SIGKILL, "signal", "killed by SIGKILL"),
        (-250, "signal", "killed by signal 250"),
    ],
)
def test_an_exit_status_as_text(status: int, reason: str, detail: str) -> None:
    """Reason and text distinguish a crash, a fault and a signal."""
    end = end_of(status, None)
    assert (end.reason, end.detail, end.status) == (reason, detail, status)
