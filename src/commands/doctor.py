"""`run.py doctor`: diagnoses the running service and does what an operator would otherwise script.

`remedies` is the policy, pure; the rest carries them out.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from src.commands.asking import ANSWER_S, ask, memory_of, no_service
from src.errors import ExitCode
from src.ipc import client, runtime
from src.ipc.messages.base import Accepted, Failed
from src.ipc.messages.control import AcquireModel, RestartRequest, StatusRequest, TrimRequest
from src.ipc.messages.status import ChildStatus, Health, SystemStatus
from src.ipc.messages.wire import AnyMessage
from src.settings import Settings
from src.supervisor.table import render

NAME, HELP = "doctor", "diagnose the running service, clear caches, restart what is stuck"


@dataclass(frozen=True)
class Remedy:
    """One thing to do for one child, or for a model that has none (`load`), and why."""

    name: str
    act: Literal["restart", "trim", "load"]
    why: str


def remedies(status: SystemStatus, stall_s: float) -> list[Remedy]:
    """Restart what waits, has failed, stands still or has left its GPU; clear the caches of engines that are well.

    A model that could not be loaded is tried again.
    """
    found = [_for(child, stall_s) for child in status.children]
    failed = [model for model in status.models if model.state == "failed"]
    again = [
        Remedy(model.name, "load", f"could not be loaded: {model.detail or 'no reason given'}") for model in failed
    ]
    return [*(remedy for remedy in found if remedy is not None), *again]


def _for(child: ChildStatus, stall_s: float) -> Remedy | None:
    if child.state in ("backoff", "failed"):
        return Remedy(child.name, "restart", f"is in {child.state}: {child.detail or 'no reason given'}")
    if child.state != "ready" or child.health is None:
        return None
    if ailment := _ailment(child, child.health, stall_s):
        return Remedy(child.name, "restart", ailment)
    return Remedy(child.name, "trim", "is well: its caches are cleared") if child.health.load else None


def _ailment(child: ChildStatus, health: Health, stall_s: float) -> str | None:
    """What is wrong with one that answers."""
    if health.memory_level == "high":
        return health.detail or "memory is high"
    if child.fallback is not None:
        return f"computes on the {child.fallback} since its GPU failed"
    load = health.load
    if load is not None and load.running + load.waiting > 0 and load.step_age_s > stall_s / 2:
        return f"has made no step for {load.step_age_s:.0f} s"
    return None


def configure(parser: ArgumentParser) -> None:
    """It takes no arguments."""


def run(options: Namespace, settings: Settings) -> ExitCode:
    answer = ask(settings, StatusRequest())
    if not isinstance(answer, SystemStatus):
        return no_service(settings)
    print(render(answer, memory_of), flush=True)
    done = [_apply(remedy, settings) for remedy in remedies(answer, settings.engine_stall_timeout)]
    return ExitCode.OK if all(done) else ExitCode.FAILURE


def _apply(remedy: Remedy, settings: Settings) -> bool:
    control = runtime.control_socket(settings.runtime_path)
    if remedy.act == "load":
        return _order(remedy, control, AcquireModel(remedy.name, retry=True), "it is there now", "loading it")
    if remedy.act == "restart":
        return _order(remedy, control, RestartRequest(remedy.name), "restarting it")
    engine = runtime.engine_socket(settings.runtime_path, remedy.name.partition(":")[2])
    return _order(remedy, engine, TrimRequest(), "done")


def _order(remedy: Remedy, path: Path, message: AnyMessage, done: str, waits: str | None = None) -> bool:
    """Send it and print how it went. `waits`: what it is to get no answer yet, if that is no failure."""
    try:
        answer = client.ask(path, message, ANSWER_S)
    except client.WaitTimeout:
        well, said = waits is not None, waits or "it does not answer"
    except client.Unanswered:
        well, said = False, "it does not answer"
    else:
        well = isinstance(answer, Accepted)
        said = done if well else answer.message if isinstance(answer, Failed) else "it does not understand"
    print(f"{remedy.name} {remedy.why}; {said}")
    return well
