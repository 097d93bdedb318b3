"""One line of system_metrics.log."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from src.gpu.watch import NO_GPU
from src.ipc.messages.status import (
    ChildStatus,
    DeviceReading,
    EngineLoad,
    GpuReading,
    GpuSample,
    Health,
    MemoryReading,
    OcrLoad,
)
from src.supervisor.readings import Sampler
from tests.unit.clock import Clock

GPUS = GpuSample("nvml", (GpuReading(0, "cuda", utilization=0.93),))


def engine(tokens: int, pid: int) -> ChildStatus:
    load = EngineLoad(running=2, waiting=3, step_age_s=0.1, steps=9, tokens=tokens)
    memory = MemoryReading(1000, mlx_active_bytes=5, mlx_peak_bytes=6)
    health = Health("ready", pid, memory, load=load, device=DeviceReading("cpu"))
    return ChildStatus("engine", "ready", pid, 1.0, {"stall": 2}, health=health)


def test_a_reading_is_complete(tmp_path: Path) -> None:
    """CPU, memory, disk, device, queue and throughput of all processes; stopped ones have no figures."""
    clock, me = Clock(), os.getpid()
    sampler = Sampler(tmp_path, clock)
    ocr = OcrLoad(workers=2, busy=1, waiting=4, model_loads=2, pages=7, failures=0, worker_restarts=0)
    others = (
        ChildStatus("ocr", "ready", me, 1.0, {}, health=Health("ready", me, MemoryReading(1), ocr=ocr)),
        ChildStatus("web", "backoff", None, None, {"exit": 1}),
    )
    sampler.sample([engine(100, me), *others], NO_GPU)
    clock.now += 30
    reading = sampler.sample([engine(400, me), *others], GPUS)
    first, second, third = reading.processes
    assert (first.tokens_per_s, reading.tokens_per_s, reading.queue) == (10.0, 10.0, 7)
    assert (first.running, first.waiting, first.restarts, first.mlx_active_bytes) == (2, 3, 2, 5)
    assert first.rss_bytes is not None
    assert first.rss_bytes > 1 << 20
    assert first.device == DeviceReading("cpu")
    assert (second.ocr_busy, second.ocr_workers, second.ocr_pages, second.waiting) == (1, 2, 7, 4)
    assert (third.state, third.pid, third.rss_bytes) == ("backoff", None, None)
    assert reading.host.memory_available_bytes > 0
    assert reading.host.disk_free_bytes is not None
    assert reading.gpus == GPUS.gpus


@pytest.mark.parametrize("pid", [1 << 22, os.getpid()], ids=["gone", "alive"])
def test_the_throughput_of_a_restarted_engine_starts_from_zero(tmp_path: Path, pid: int) -> None:
    """Throughput is never negative; an exited pid gives no figures and no error."""
    clock = Clock()
    sampler = Sampler(tmp_path, clock)
    sampler.sample([engine(10_000, 1)], NO_GPU)
    clock.now += 10
    assert sampler.sample([engine(50, pid)], NO_GPU).tokens_per_s == 5.0
