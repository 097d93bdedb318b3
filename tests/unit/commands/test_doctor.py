"""What the doctor prescribes."""

from __future__ import annotations

from argparse import Namespace

import msgspec
import pytest

from src.commands import doctor, mac
from src.commands.doctor import remedies
from src.errors import ExitCode
from src.ipc.messages.base import Fallback
from src.ipc.messages.status import (
    ChildState,
    ChildStatus,
    EngineLoad,
    Health,
    MemoryReading,
    ModelStatus,
    SystemStatus,
)
from tests.conftest import MakeSettings

IDLE = EngineLoad(running=0, waiting=0, step_age_s=0, steps=1, tokens=1)
HEALTH = Health("ready", 7, MemoryReading(1), load=IDLE)


def table(
    state: ChildState, health: Health | None = None, detail: str | None = None, fallback: Fallback | None = None
) -> SystemStatus:
    child = ChildStatus("engine", state, 7, 1.0, {}, detail, health, fallback)
    return SystemStatus("0.1.0", 1, 1.0, (child,))


@pytest.mark.parametrize(
    ("status", "act", "why"),
    [
        (table("failed", detail="no such model"), "restart", "no such model"),
        (table("backoff", detail="exit 1"), "restart", "exit 1"),
        (table("ready", msgspec.structs.replace(HEALTH, memory_level="high")), "restart", "memory"),
        (table("ready", msgspec.structs.replace(HEALTH, load=EngineLoad(1, 0, 45, 1, 1))), "restart", "45 s"),
        (table("ready", msgspec.structs.replace(HEALTH, load=EngineLoad(1, 0, 5, 1, 1))), "trim", "healthy"),
        (table("ready", HEALTH, fallback="cpu"), "restart", "GPU"),
        (table("ready", HEALTH), "trim", "healthy"),
    ],
)
def test_a_remedy(status: SystemStatus, act: str, why: str) -> None:
    """What waits, failed, fills up or stands still is restarted; an engine that is well gets its caches cleared."""
    (remedy,) = remedies(status, stall_s=60)
    assert remedy.act == act
    assert why in remedy.why


def test_a_model_that_failed_is_tried_again() -> None:
    """It has no process; the reason is said."""
    models = (ModelStatus("a", "failed", "engine:a", detail="cut short"), ModelStatus("b", "unloaded", "engine:b"))
    (remedy,) = remedies(SystemStatus("0.1.0", 1, 1.0, (), models=models), stall_s=60)
    assert (remedy.name, remedy.act, "cut short" in remedy.why) == ("a", "load", True)


@pytest.mark.parametrize("state", ["starting", "stopping", "stopped"])
def test_what_is_on_its_way_is_left_alone(state: ChildState) -> None:
    """A process that starts or stops needs no doctor."""
    assert remedies(table(state), stall_s=60) == []


def test_a_mac_is_looked_at_though_no_service_runs(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is wrong with the machine may be why none runs."""
    monkeypatch.setattr(mac, "observe", lambda _: mac.Observed(backlog=128, panics=("panic-full-1.panic",)))
    assert doctor.run(Namespace(), make_settings()) == ExitCode.FAILURE
    said = capsys.readouterr()
    assert "This Mac:\n  GPU panics: 1 in 30 days, the last panic-full-1.panic; " in said.out
    assert "listening queue: 128 connections; for bursts of connections: `sudo sysctl" in said.out
    assert "No service is running" in said.err
