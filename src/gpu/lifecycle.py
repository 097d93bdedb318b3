"""Locations of a model's weights, and idle timeouts: pure policy.

Used by the supervisor for processes and by the model manager within a process.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Location = Literal["unloaded", "cpu", "gpu"]


@dataclass(frozen=True)
class IdleTimes:
    """Seconds without use until weights are offloaded, and until they are unloaded; 0 is never."""

    to_cpu_s: float
    to_unloaded_s: float


def idle_move(location: Location, idle_s: float, times: IdleTimes, *, busy: bool, pinned: bool) -> Location:
    """Where a model idle for `idle_s` seconds belongs. Busy and pinned models stay where they are."""
    if busy or pinned or location == "unloaded":
        return location
    if times.to_unloaded_s and idle_s >= times.to_unloaded_s:
        return "unloaded"
    if location == "gpu" and times.to_cpu_s and idle_s >= times.to_cpu_s:
        return "cpu"
    return location
