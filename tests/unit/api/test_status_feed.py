"""The status for all who watch: one question a second, and for users what users are told."""

from __future__ import annotations

import json
from typing import Any

from src.api.status_feed import StatusFeed
from src.ipc.messages.status import SystemStatus
from src.metrics import Observed
from tests.unit.api.fakes import table

_OBSERVED: Observed = ((0.1, 1.0), (3, 1, 0), 0.7)


class Supervisor:
    def __init__(self) -> None:
        self.asked = 0
        self.answer: SystemStatus | None = table()

    def status(self) -> SystemStatus | None:
        self.asked += 1
        return self.answer


def data(event: bytes) -> Any:
    return json.loads(event.decode().partition("data: ")[2])


def test_many_watchers_are_one_question_a_second() -> None:
    now = [0.0]
    supervisor = Supervisor()
    feed = StatusFeed(supervisor.status, lambda: _OBSERVED, lambda: now[0])
    first = [feed.latest(admin=True) for _ in range(50)]
    assert (len(set(first)), supervisor.asked) == (1, 1)
    now[0] = 1.0
    assert (feed.latest(admin=False), supervisor.asked)[1] == 2


def test_users_are_told_less() -> None:
    """No pids and no figures."""
    feed = StatusFeed(Supervisor().status, lambda: _OBSERVED, lambda: 0.0)
    whole, reduced = data(feed.latest(admin=True)), data(feed.latest(admin=False))
    assert whole["first_token"] == {"bounds": [0.1, 1.0], "counts": [3, 1, 0], "total": 0.7}
    assert "pid" in whole["status"]["children"][0]
    assert set(reduced["children"][0]) == {"name", "state"}
    assert "first_token" not in reduced


def test_a_supervisor_that_does_not_answer_is_told() -> None:
    supervisor = Supervisor()
    supervisor.answer = None
    event = StatusFeed(supervisor.status, lambda: _OBSERVED, lambda: 0.0).latest(admin=True)
    assert event.startswith(b"event: unavailable\n")
