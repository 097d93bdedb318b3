"""Autoscaling of workers with OCR_WORKERS=auto: pure policy, and the loop that applies it.

One worker on a GPU (several processes on one GPU hang each other), up to one per core on a CPU; more when pages wait
and memory is free, fewer when idle.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import psutil

from src.gpu.advice import OCR_PAGE_BYTES
from src.ocr.admission import Admission
from src.ocr.pool import Pool
from src.settings import OcrSettings

_TICK_S = 1.0
_IDLE_S = 120.0
_SPARE_BYTES = 512 << 20


@dataclass(frozen=True)
class WorkerLimits:
    """Minimum and maximum number of workers, and the memory of one."""

    least: int
    most: int
    worker_bytes: int = OCR_PAGE_BYTES


@dataclass(frozen=True)
class PoolFacts:
    """A snapshot of the pool. `idle_s`: since the last page came or went."""

    size: int
    loaded: int
    busy: int
    waiting: int
    idle_s: float
    free_bytes: int


def bounds(settings: OcrSettings, *, cores: int, memory_bytes: int, model_bytes: int, on_gpu: bool) -> WorkerLimits:
    """What OCR_WORKERS means on this machine."""
    if settings.ocr_workers != "auto":
        count = min(settings.ocr_workers, settings.ocr_max_concurrent)  # more would never get a page
        return WorkerLimits(count, count)
    worker_bytes = OCR_PAGE_BYTES + model_bytes
    most = 1 if on_gpu else max(1, min(cores, settings.ocr_max_concurrent, int(memory_bytes / 2 / worker_bytes)))
    return WorkerLimits(1, most, worker_bytes)


def change(facts: PoolFacts, limits: WorkerLimits) -> int:
    """Add a worker (1), remove one (-1), or keep the size (0)."""
    loading = facts.loaded < facts.size
    full = facts.busy >= facts.loaded and facts.waiting > 0
    room = facts.free_bytes > limits.worker_bytes + _SPARE_BYTES
    if full and room and not loading and facts.size < limits.most:
        return 1
    idle = not facts.waiting and facts.busy < facts.loaded and facts.idle_s >= _IDLE_S
    short = facts.free_bytes < _SPARE_BYTES
    return -1 if facts.size > limits.least and (idle or short) else 0


async def autoscale(pool: Pool, admission: Admission, limits: WorkerLimits) -> None:
    """Resize the pool as the policy says, until cancelled."""
    clock = asyncio.get_running_loop().time
    seen, changed_at = -1, clock()
    while limits.most > limits.least:
        await asyncio.sleep(_TICK_S)
        done = admission.pages + admission.failures
        if done != seen or admission.waiting:
            seen, changed_at = done, clock()
        free = psutil.virtual_memory().available
        facts = PoolFacts(pool.size, pool.loaded, admission.busy, admission.waiting, clock() - changed_at, free)
        step = change(facts, limits)
        if step > 0:
            pool.grow()
        elif step < 0:
            pool.shrink()
