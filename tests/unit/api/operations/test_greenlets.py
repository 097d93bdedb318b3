"""The count of greenlets: up when one is spawned, down however it ends."""

from __future__ import annotations

from collections.abc import Iterator

import gevent
import pytest

from src.api.operations import metrics


@pytest.fixture(autouse=True)
def counting() -> Iterator[None]:
    metrics.count_greenlets()
    yield
    gevent.Greenlet.remove_spawn_callback(metrics._spawned)


def test_greenlets_are_counted_while_they_live() -> None:
    """Ended, failed or killed, it is not counted any more; two that share a number in turn are two."""
    before = metrics.greenlets_alive()
    sleeping = [gevent.spawn(gevent.sleep, 60) for _ in range(3)]
    gevent.sleep(0)
    assert metrics.greenlets_alive() == before + 3
    gevent.killall(sleeping)
    for _ in range(100):
        gevent.spawn(int, "1").get()
    gevent.sleep(0)
    assert metrics.greenlets_alive() == before
