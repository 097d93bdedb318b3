"""Where a model's weights may be, and when idleness moves them: one pure policy, for two who carry it out.

The supervisor decides for whole processes; the library's manager moves weights inside one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Location = Literal["unloaded", "cpu", "gpu"]


@dataclass(frozen=True)
class IdleTimes:
    """Seconds without use after which weights leave the device, and after which they leave memory; 0 is never."""

    to_cpu_s: float
    to_unloaded_s: float


def idle_move(location: Location, idle_s: float, times: IdleTimes, *, busy: bool, pinned: bool) -> Location:
    """Where a model that was last used `idle_s` seconds ago belongs. One in use, or pinned, stays where it is."""
    if busy or pinned or location == "unloaded":
        return location
    if times.to_unloaded_s and idle_s >= times.to_unloaded_s:
        return "unloaded"
    if location == "gpu" and times.to_cpu_s and idle_s >= times.to_cpu_s:
        return "cpu"
    return location
