"""What `run.py doctor` does about a service: the policy, pure. The command line asks and carries out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from src.ipc.messages.status import ChildStatus, Health, SystemStatus


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
