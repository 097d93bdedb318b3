"""A worker that gunicorn started by itself sees to it that there are back ends."""

from __future__ import annotations

import subprocess
from typing import Any

import gevent
import pytest

from src.api.process import launch
from src.api.process.launch import BackendsKeeper
from src.ipc import client
from src.ipc.messages.base import Accepted
from src.ipc.messages.wire import AnyMessage
from tests.conftest import MakeSettings

MASTER = 4242


class Supervisor:
    """What asking the control socket comes to, and the commands that were started."""

    def __init__(self, *answers: Exception | None) -> None:
        self.answers = list(answers)
        self.started: list[tuple[list[str], dict[str, Any]]] = []
        self.naps: list[float] = []

    def ask(self, *_: object) -> AnyMessage:
        if not self.answers:
            raise gevent.GreenletExit
        answer = self.answers.pop(0)
        if answer is not None:
            raise answer
        return Accepted()

    def start(self, command: list[str], **options: Any) -> None:
        self.started.append((command, options))


@pytest.fixture
def watch(make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a keeper against a supervisor's answers until there are no more."""

    def run(*answers: Exception | None) -> Supervisor:
        supervisor = Supervisor(*answers)
        monkeypatch.setattr(client, "ask", supervisor.ask)
        monkeypatch.setattr(subprocess, "Popen", supervisor.start)
        monkeypatch.setattr(gevent, "sleep", supervisor.naps.append)
        with pytest.raises(gevent.GreenletExit):
            BackendsKeeper(make_settings(), MASTER).run()
        return supervisor

    return run


@pytest.mark.parametrize("answer", [client.ConnectError("nobody"), client.Disconnected("died")])
def test_a_missing_supervisor_is_started(answer: Exception, watch: Any) -> None:
    """It is detached from the worker, tied to gunicorn's master, and given time to begin."""
    ((command, options),) = watch(answer, None).started
    assert command[1:] == ["run.py", "--mode", "backends", "--lifeline", str(MASTER)]
    assert options["start_new_session"] is True
    assert options["stdin"] == subprocess.DEVNULL


def test_it_is_given_time_to_begin(watch: Any) -> None:
    """No second one is started while the first is on its way up."""
    supervisor = watch(client.ConnectError("nobody"))
    assert supervisor.naps[0] >= 5 * launch._CHECK_S


@pytest.mark.parametrize("answer", [None, client.WaitTimeout()])
def test_a_living_supervisor_is_left_alone(answer: Exception | None, watch: Any) -> None:
    """One that answers, or is only busy, needs no second."""
    supervisor = watch(answer, answer)
    assert supervisor.started == []
    assert supervisor.naps == [launch._CHECK_S] * 2


def test_one_that_dies_later_is_started_again(watch: Any) -> None:
    """The keeper goes on watching."""
    assert len(watch(None, client.ConnectError("gone"), None, client.ConnectError("gone again")).started) == 2
