"""What a web worker does beside its requests: it drains when told, and measures its own event loop."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType, SimpleNamespace
from typing import Any

import gevent
import pytest

from src.api.app import create_app
from src.api.process import lifetime
from src.api.process.handover import Handover
from src.api.process.worker import LISTENERS_CLOSED_S
from src.api.service import EXTENSION, Service
from src.errors import ShuttingDown
from src.settings import WEB_FD
from tests.conftest import MakeSettings
from tests.unit.api.fakes import FakeClock


@pytest.fixture
def service(make_settings: MakeSettings) -> Service:
    made = create_app(make_settings(inference_engine="fake")).extensions[EXTENSION]
    assert isinstance(made, Service)
    return made


@pytest.fixture
def gunicorns() -> Iterator[list[int]]:
    """The signals that reached gunicorn's own handler."""
    seen: list[int] = []

    def handler(number: int, frame: FrameType | None) -> None:
        seen.append(number)

    before = signal.signal(signal.SIGTERM, handler)
    yield seen
    signal.signal(signal.SIGTERM, before)


def _worker(graceful_s: float) -> Any:
    """As far as a drain concerns it."""
    cfg = SimpleNamespace(graceful_timeout=graceful_s)
    return SimpleNamespace(cfg=cfg, last_answers=False, owns_listeners=False, linger_s=0.0)


def test_a_drain_begins_with_sigterm(
    service: Service, gunicorns: list[int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """SIGTERM: each answer ends its connection, new work is refused once no listener is left, and the rest ends
    shortly before gunicorn would cut it. Gunicorn hears it too."""
    later: list[tuple[float, Callable[[], None]]] = []
    monkeypatch.setattr(gevent, "spawn_later", lambda seconds, call: later.append((seconds, call)))
    worker = _worker(60.0)
    handover = Handover(service.metrics, tmp_path)
    lifetime._drain_on_term(service, worker, handover)
    signal.raise_signal(signal.SIGTERM)
    service.inflight.check()
    (refuse_s, refuse), (end_s, end) = later
    refuse()
    with pytest.raises(ShuttingDown):
        service.inflight.check()
    assert (worker.linger_s, worker.last_answers, end) == (5.0, True, service.inflight.end_all)
    assert refuse_s == worker.linger_s + LISTENERS_CLOSED_S
    service.metrics.key_requests.labels("app").inc()
    worker.at_end()
    assert list(tmp_path.glob("*.counters"))
    assert 50 < end_s < 60
    assert gunicorns == [signal.SIGTERM]


def test_a_drain_is_announced_by_sigusr1(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """It still takes requests; the listeners are its own, unless systemd holds the port."""
    before = signal.getsignal(signal.SIGUSR1)
    try:
        for held, owns in ((None, True), ("3", False)):
            monkeypatch.delenv(WEB_FD, raising=False) if held is None else monkeypatch.setenv(WEB_FD, held)
            worker = _worker(60.0)
            lifetime._announce_on_usr1(service, worker)
            signal.raise_signal(signal.SIGUSR1)
            assert (worker.last_answers, worker.owns_listeners) == (True, owns)
    finally:
        signal.signal(signal.SIGUSR1, before)
    service.inflight.check()
    assert service.inflight.drain_announced


def test_a_second_sigterm_changes_nothing(
    service: Service, gunicorns: list[int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The drain is begun once; gunicorn gets every signal."""
    later: list[float] = []
    monkeypatch.setattr(gevent, "spawn_later", lambda seconds, call: later.append(seconds))
    lifetime._drain_on_term(service, _worker(2.0), Handover(service.metrics, tmp_path))
    for _ in range(2):
        signal.raise_signal(signal.SIGTERM)
    assert (len(later), len(gunicorns)) == (2, 2)
    assert min(later) > 0


def test_lag_is_how_late_the_loop_ran(monkeypatch: pytest.MonkeyPatch) -> None:
    """A turn on time counts as nothing, a late one as its delay; it is never negative."""
    clock, late = FakeClock(), iter([0.0, 0.25, -0.01])
    seen: list[float] = []

    def sleep(seconds: float) -> None:
        delay = next(late, None)
        if delay is None:
            raise gevent.GreenletExit
        clock.now += seconds + delay

    monkeypatch.setattr(gevent, "sleep", sleep)
    with pytest.raises(gevent.GreenletExit):
        lifetime._watch_lag(seen.append, clock)
    assert seen == [0.0, 0.25, 0.0]
