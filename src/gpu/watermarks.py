"""Memory watermarks: pure arithmetic on readings, used by the engine's guard.

The budget is MEMORY_BUDGET_MB, or MLX_MEMORY_FRACTION of the device. Watermarks are shares of the budget above the
baseline (the footprint of the loaded model): weights alone must not exceed a watermark.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from src.ipc.messages.status import MemoryReading

Level = Literal["normal", "low", "high"]

_MB = 1 << 20


@dataclass(frozen=True)
class Watermarks:
    """Shares of the budget above the baseline: over `low` caches are cleared, over `high` nothing is admitted."""

    budget_bytes: int
    low: float
    high: float


def footprint(reading: MemoryReading) -> int:
    """The process's memory: as the system counts it, or MLX's figures where device memory is separate."""
    counted = reading.rss_bytes if reading.footprint_bytes is None else reading.footprint_bytes
    return max(counted, (reading.mlx_active_bytes or 0) + (reading.mlx_cache_bytes or 0))


def level(now: int, baseline: int, marks: Watermarks) -> Level:
    """The watermark that a footprint of `now` bytes exceeds."""
    room = max(1, marks.budget_bytes - baseline)
    share = (now - baseline) / room
    return "high" if share > marks.high else "low" if share > marks.low else "normal"


def explain(now: int, baseline: int, marks: Watermarks) -> str:
    """The figures of a level, for the log and the status."""
    return f"{now // _MB} MB used, {baseline // _MB} MB when loaded, {marks.budget_bytes // _MB} MB budget"


def fits(needed_bytes: int, available_bytes: int) -> bool:
    """Whether weights of this size fit; a tenth of the memory stays free."""
    return needed_bytes <= 0.9 * available_bytes
