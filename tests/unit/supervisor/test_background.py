"""Background requests: while the server is idle, so many at once, never while paused."""

from __future__ import annotations

from src.supervisor.background import Background


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
