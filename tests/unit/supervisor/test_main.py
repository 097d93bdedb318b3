"""Signals, reloads and the end of the supervisor."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from src.errors import ExitCode
from src.settings import Settings, SettingsError
from src.supervisor import main
from src.supervisor.main import Supervisor, _Options


class Recorder:
    """Fake children: web is in the given state, commands are recorded."""

    def __init__(self, web_state: str) -> None:
        self.web_state = web_state
        self.orders: list[tuple[str, object]] = []

    def in_state(self, name: str, state: str) -> bool:
        return name == "web" and state == self.web_state

    def signal(self, name: str, number: int) -> None:
        self.orders.append((name, number))

    def kill(self) -> None:
        self.orders.append(("all", "kill"))

    def restart_kind(self, kind: str) -> None:
        self.orders.append((kind, "restart"))


class Changed:
    """Sources of which these files have changed."""

    def __init__(self, *files: str) -> None:
        self._files = {Path(file) for file in files}

    def changed(self) -> set[Path]:
        return self._files


def orders(web_state: str, act: Callable[[Supervisor], None]) -> list[tuple[str, object]]:
    recorder = Recorder(web_state)

    async def run() -> None:
        supervisor = Supervisor(Settings(), Path("/nowhere"), _Options(with_web=True, reload=True, lifeline=None))
        supervisor._children = recorder  # type: ignore[assignment]
        act(supervisor)

    asyncio.run(run())
    return recorder.orders


def test_a_failed_reconciler_stops_the_supervisor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests would wait for ever; systemd or launchd restarts the service."""

    async def broken() -> None:
        raise RuntimeError("a bug")

    async def run() -> ExitCode:
        supervisor = Supervisor(Settings(_env_file=None), Path("/nowhere"), _Options(False, False, None))
        monkeypatch.setattr(supervisor.models, "run", broken)
        supervisor._start_children(())
        await asyncio.wait_for(supervisor._stopping.wait(), 5)
        for task in supervisor._tasks:
            task.cancel()
        return supervisor._exit_code

    assert asyncio.run(run()) is ExitCode.FAILURE


@pytest.mark.parametrize(
    ("web", "ends_by", "serves_on"),
    [
        ("ready", Supervisor._on_stop_signal, True),
        ("ready", Supervisor.stop, True),
        ("ready", Supervisor._on_interrupt, False),
        ("ready", lambda supervisor: supervisor._request_stop(ExitCode.FAILURE), False),
        ("starting", Supervisor._on_stop_signal, False),
    ],
)
def test_a_stop_is_announced_before_it_begins(
    web: str, ends_by: Callable[[Supervisor], None], *, serves_on: bool
) -> None:
    """SIGTERM and `run.py stop` leave DRAIN_NOTICE to a balancer; ^C and a fault do not, a second signal cuts it."""
    recorder = Recorder(web)

    async def run() -> None:
        supervisor = Supervisor(Settings(drain_notice=600), Path("/nowhere"), _Options(True, False, None))
        supervisor._children = recorder  # type: ignore[assignment]
        ends_by(supervisor)
        announced = asyncio.create_task(supervisor._announce_drain())
        await asyncio.sleep(0.01)
        assert announced.done() is not serves_on
        supervisor._on_stop_signal()
        await asyncio.wait_for(announced, 1)

    asyncio.run(run())
    assert (("web", signal.SIGUSR1) in recorder.orders) is (web == "ready")


def test_sighup_reloads_web() -> None:
    """Good settings: gunicorn's master gets the signal."""
    assert orders("ready", Supervisor._reload_web) == [("web", signal.SIGHUP)]


def test_sighup_with_invalid_settings_does_not_reload_web(monkeypatch: pytest.MonkeyPatch) -> None:
    """gunicorn's master would exit on a bad .env; the old settings stay in use."""

    def wrong() -> Settings:
        raise SettingsError(["PORT: not a number"])

    monkeypatch.setattr(main, "load", wrong)
    assert orders("ready", Supervisor._reload_web) == []


@pytest.mark.parametrize(
    ("web_state", "files", "expected"),
    [
        ("ready", ["api/chat.py"], [("web", signal.SIGHUP)]),
        ("failed", ["api/chat.py"], [("web", "restart")]),
        ("ready", ["engine/text.py"], [("engine", "restart")]),
        ("ready", ["logs.py"], [("engine", "restart"), ("ocr", "restart"), ("web", "restart")]),
        ("ready", [], []),
    ],
)
def test_a_changed_file_restarts_the_affected_processes(
    web_state: str, files: list[str], expected: list[tuple[str, object]]
) -> None:
    """Web is reloaded without losing its port; one in backoff is started at once."""
    assert orders(web_state, lambda supervisor: supervisor._reload(Changed(*files))) == expected  # type: ignore[arg-type]


def test_a_place_that_cannot_be_used_is_a_configuration_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A runtime directory that is a file: said, exit CONFIG, nothing started."""
    monkeypatch.setattr("src.logs.configure", lambda *_: None)
    blocked = tmp_path / "file"
    blocked.touch()
    settings = Settings.model_validate({"runtime_dir": str(blocked / "run"), "enable_log_file": False})
    assert main.run(settings, with_web=False) == ExitCode.CONFIG
    assert str(blocked) in capsys.readouterr().err
