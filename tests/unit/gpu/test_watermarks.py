"""The guard's arithmetic, on readings as they were recorded."""

from __future__ import annotations

import pytest

from src.engine.guard import MemoryGuard
from src.errors import BackendUnavailable
from src.gpu.watermarks import Level, Watermarks, fits, footprint, level
from src.ipc.messages.status import MemoryReading

_GB = 1 << 30
MARKS = Watermarks(budget_bytes=24 * _GB, low=0.5, high=0.7)


@pytest.mark.parametrize(
    ("now", "baseline", "found"),
    [
        (16, 16, "normal"),
        (20, 16, "normal"),
        (20.1, 16, "low"),
        (21.7, 16, "high"),
        (23, 22, "normal"),
        (23.5, 22, "high"),
        (30, 26, "high"),
        (10, 16, "normal"),
    ],
)
def test_the_room_beside_the_model_counts(now: float, baseline: float, found: Level) -> None:
    """A large model does not stand over a watermark by its weights alone; what grows beside it does."""
    assert level(int(now * _GB), int(baseline * _GB), MARKS) == found


@pytest.mark.parametrize(
    ("reading", "expected"),
    [
        # recorded: the demo model on mlx[cpu], Linux
        (MemoryReading(136_314_880, 16_797_696, 1_245_184, 40_894_464, 18_957_382_656), 136_314_880),
        # Metal buffers are not resident memory: MLX's own figures are the larger ones
        (MemoryReading(600_000_000, 9_000_000_000, 2_000_000_000, 12_000_000_000, None), 11_000_000_000),
        (MemoryReading(50_000_000), 50_000_000),
        # recorded likewise, with the footprint beside it: pages of files are not counted against anybody
        (MemoryReading(137_330_688, 13_640_204, 1_091_744, 20_065_544, 18_957_382_656, 89_616_384), 89_616_384),
    ],
)
def test_footprint(reading: MemoryReading, expected: int) -> None:
    """The larger of what the system and what MLX says."""
    assert footprint(reading) == expected


def test_what_fits() -> None:
    """A tenth of the free memory is left to everybody else."""
    assert fits(90, 100)
    assert not fits(91, 100)


def test_the_guard_clears_then_closes_then_opens() -> None:
    """Over low: caches are cleared. Over high: nothing is admitted, with a reason. Back to normal: open again."""
    now = [2 * _GB]
    trims: list[int] = []
    guard = MemoryGuard(MARKS, lambda: MemoryReading(now[0]), lambda: trims.append(1))
    guard.check()
    guard.admit()
    assert (guard.level, len(trims)) == ("normal", 0)
    now[0] = 14 * _GB
    guard.check()
    guard.admit()
    assert (guard.level, len(trims)) == ("low", 1)
    now[0] = 20 * _GB
    guard.check()
    with pytest.raises(BackendUnavailable, match="MEMORY_HIGH_WATERMARK") as refused:
        guard.admit()
    assert refused.value.retry_after_s
    assert guard.detail == "memory over the high watermark"
    now[0] = 2 * _GB
    guard.check()
    guard.admit()
    assert guard.level == "normal"
