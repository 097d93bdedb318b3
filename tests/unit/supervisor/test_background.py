"""Background requests: in quiet times, one after another, never while paused."""

from __future__ import annotations

from src.supervisor.background import Background


def test_a_quiet_time_lets_one_begin() -> None:
    background = Background(idle_s=300, pause_s=10, now=0)
    assert not background.may_begin(299)
    assert background.may_begin(300)
    background.others(400)
    assert not background.may_begin(699)
    assert background.may_begin(700)


def test_one_at_a_time_with_a_pause_between() -> None:
    background = Background(idle_s=0, pause_s=10, now=0)
    background.began()
    assert not background.may_begin(50)
    background.ended(60)
    assert not background.may_begin(69)
    assert background.may_begin(70)


def test_nothing_begins_while_paused() -> None:
    background = Background(idle_s=0, pause_s=0, now=0)
    background.paused = True
    assert not background.may_begin(1e9)
    background.paused = False
    assert background.may_begin(1e9)
