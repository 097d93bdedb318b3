"""What a web worker does beside its requests: it drains when told, and measures its own event loop."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from types import FrameType

import gevent
import pytest

from src.api.app import create_app
from src.api.process import lifetime
from src.api.service import EXTENSION, Service
from src.errors import ShuttingDown
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


def test_a_drain_begins_with_sigterm(service: Service, gunicorns: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGTERM refuses new work at once, ends the rest shortly before gunicorn would cut it, and gunicorn hears it."""
    later: list[tuple[float, object]] = []
    monkeypatch.setattr(gevent, "spawn_later", lambda seconds, call: later.append((seconds, call)))
    lifetime._drain_on_term(service, 60.0)
    service.inflight.check()
    signal.raise_signal(signal.SIGTERM)
    with pytest.raises(ShuttingDown):
        service.inflight.check()
    ((seconds, call),) = later
    assert 50 < seconds < 60
    assert call == service.inflight.end_all
    assert gunicorns == [signal.SIGTERM]


def test_a_second_sigterm_changes_nothing(
    service: Service, gunicorns: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The drain is begun once; gunicorn gets every signal."""
    later: list[float] = []
    monkeypatch.setattr(gevent, "spawn_later", lambda seconds, call: later.append(seconds))
    lifetime._drain_on_term(service, 2.0)
    for _ in range(2):
        signal.raise_signal(signal.SIGTERM)
    assert (len(later), len(gunicorns)) == (1, 2)
    assert later[0] > 0


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
