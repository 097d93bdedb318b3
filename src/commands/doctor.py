"""`run.py doctor`: diagnoses the running service, clears caches and restarts what is stuck.

`remedies` is pure policy; the rest carries them out.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from src.commands import mac, state_report
from src.commands.asking import REPLY_TIMEOUT_S, ask, memory_of, no_service, of_running_service, terminal_width
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
    """One action for a child, or for a model without one (`load`), and the reason."""

    name: str
    act: Literal["restart", "trim", "load"]
    why: str


def remedies(status: SystemStatus, stall_s: float) -> list[Remedy]:
    """Restart children in backoff, failed, stalled or on the CPU fallback; clear caches of healthy engines.

    A failed model is loaded again.
    """
    found = [_for(child, stall_s) for child in status.children]
    failed = [model for model in status.models if model.state == "failed"]
    again = [Remedy(model.name, "load", f"failed to load: {model.detail or 'no reason given'}") for model in failed]
    return [*(remedy for remedy in found if remedy is not None), *again]


def _for(child: ChildStatus, stall_s: float) -> Remedy | None:
    if child.state in ("backoff", "failed"):
        return Remedy(child.name, "restart", f"is in {child.state}: {child.detail or 'no reason given'}")
    if child.state != "ready" or child.health is None:
        return None
    if diagnosis := _diagnosis(child, child.health, stall_s):
        return Remedy(child.name, "restart", diagnosis)
    return Remedy(child.name, "trim", "is healthy: clearing its caches") if child.health.load else None


def _diagnosis(child: ChildStatus, health: Health, stall_s: float) -> str | None:
    """What is wrong with a ready child."""
    if health.memory_level == "high":
        return health.detail or "memory is over the high watermark"
    if child.fallback is not None:
        return f"runs on the {child.fallback} after GPU faults"
    load = health.load
    if load is not None and load.running + load.waiting > 0 and load.step_age_s > stall_s / 2:
        return f"has completed no step for {load.step_age_s:.0f} s"
    return None


def configure(parser: ArgumentParser) -> None:
    """It takes no arguments."""


def run(options: Namespace, settings: Settings) -> ExitCode:
    settings = of_running_service(settings)
    _print_mac(settings.models_path)
    answer = ask(settings, StatusRequest())
    if not isinstance(answer, SystemStatus):
        return no_service(settings)
    print(render(answer, memory_of, terminal_width()), flush=True)
    done = [_apply(remedy, settings) for remedy in remedies(answer, settings.engine_stall_timeout)]
    return ExitCode.OK if all([*done, _check_state(settings.state_path)]) else ExitCode.FAILURE


def _print_mac(models: Path) -> None:
    """Advice about the machine: it changes no exit code, and needs no running service."""
    if (seen := mac.observe(models)) is not None:
        print("This Mac:", *mac.readings(seen), sep="\n  ", end="\n\n")


def _check_state(folder: Path) -> bool:
    """Files, batches, responses and conversations on disk."""
    wrong = state_report.integrity(folder)
    if wrong is not None:
        print(f"{folder} cannot be used: {wrong}; stop the service and restore a backup (STATE_DIR)")
    return wrong is None


def _apply(remedy: Remedy, settings: Settings) -> bool:
    control = runtime.control_socket(settings.runtime_path)
    if remedy.act == "load":
        return _send(remedy, control, AcquireModel(remedy.name, retry=True), "loaded", "loading")
    if remedy.act == "restart":
        return _send(remedy, control, RestartRequest(remedy.name), "restarting")
    engine = runtime.engine_socket(settings.runtime_path, remedy.name.partition(":")[2])
    return _send(remedy, engine, TrimRequest(), "done")


def _send(remedy: Remedy, path: Path, message: AnyMessage, done: str, waits: str | None = None) -> bool:
    """Send the request and print its result. `waits`: printed on a timeout that is not a failure."""
    try:
        answer = client.ask(path, message, REPLY_TIMEOUT_S)
    except client.WaitTimeout:
        well, said = waits is not None, waits or "no response"
    except client.Unanswered:
        well, said = False, "no response"
    else:
        well = isinstance(answer, Accepted)
        said = done if well else answer.message if isinstance(answer, Failed) else "unexpected response"
    print(f"{remedy.name} {remedy.why}; {said}")
    return well
