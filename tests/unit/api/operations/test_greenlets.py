"""The count of greenlets: up when one is spawned, down however it ends."""

from __future__ import annotations

from collections.abc import Iterator

import gevent
import pytest

from src.api.operations import greenlets


@pytest.fixture(autouse=True)
def counting() -> Iterator[None]:
    greenlets.count_from_now()
    yield
    gevent.Greenlet.remove_spawn_callback(greenlets._spawned)


def test_greenlets_are_counted_while_they_live() -> None:
    """Ended, failed or killed, it is not counted any more; two that share a number in turn are two."""
    before = greenlets.alive()
    sleeping = [gevent.spawn(gevent.sleep, 60) for _ in range(3)]
    gevent.sleep(0)
    assert greenlets.alive() == before + 3
    gevent.killall(sleeping)
    for _ in range(100):
        gevent.spawn(int, "1").get()
    gevent.sleep(0)
    assert greenlets.alive() == before
