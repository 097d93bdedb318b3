"""The supervisor's table as metrics: gauges of what runs now, counters of that and of every process before it. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from msgspec.structs import asdict

from src.ipc.messages import counts
from src.ipc.messages.status import (
    ChildStatus,
    EngineLoad,
    Health,
    KvReading,
    ModelStatus,
    OcrLoad,
    PrefixReading,
    SystemStatus,
)
from src.metrics import ModelReading, PrefixCounts, Readings


def readings(status: SystemStatus, engine_of: Callable[[str], str]) -> Readings:
    """`engine_of`: the label of a model's engine."""
    memory = {c.name: c.health.memory.rss_bytes for c in status.children if c.health is not None}
    return Readings(
        tuple(_model_reading(model, engine_of(model.name), status) for model in status.models),
        status.restarts,
        memory,
        _ocr(status),
        gpu_utilization=_gpu_utilization(status),
        gpu_memory_bytes=_gpu_memory(status),
        background_waited_s=status.background_waited_s,
    )


def _model_reading(model: ModelStatus, engine: str, status: SystemStatus) -> ModelReading:
    """Under the same labels whether it is up or down: a dead engine's gauges go to 0 and its counters stay."""
    child = status.child(model.child)
    health = child.health if child is not None else None
    counted = counts.add_engine(status.ended_engines.get(model.child), health.load if health is not None else None)
    if child is None or health is None or child.state != "ready":
        down = ModelReading(model.name, engine, up=False, waiting=model.waiting, state=model.state)
        return _with_counters(down, counted)
    return _with_counters(_with_load(_up(model, engine, child, health), health.load), counted)


def _up(model: ModelStatus, engine: str, child: ChildStatus, health: Health) -> ModelReading:
    memory = health.memory
    kinds = {
        "active": memory.mlx_active_bytes,
        "cache": memory.mlx_cache_bytes,
        "peak": memory.mlx_peak_bytes,
        "limit": memory.mlx_limit_bytes,
        "footprint": memory.footprint_bytes,
    }
    return ModelReading(
        model.name,
        engine,
        up=True,
        waiting=model.waiting,
        state=model.state,
        memory_bytes={kind: value for kind, value in kinds.items() if value is not None},
        load_s=health.model.load_s if health.model is not None else None,
        memory_level=health.memory_level,
        fallback=child.fallback is not None,
    )


def _with_load(reading: ModelReading, load: EngineLoad | None) -> ModelReading:
    if load is None:
        return reading
    return replace(
        reading,
        running=load.running,
        waiting=reading.waiting + load.waiting,
        kv_bytes=_used(load.kv),
        prefix_bytes=_used(load.prefix) | _on_disk(load.prefix),
    )


def _with_counters(reading: ModelReading, counted: EngineLoad | None) -> ModelReading:
    """Of all the processes that the model has had."""
    if counted is None:
        return reading
    return replace(
        reading,
        prefix=_counts(counted.prefix) if counted.prefix is not None else None,
        phases=counted.phases,
        step_tokens=counted.step_tokens,
        preempted=counted.preempted,
        speculation=asdict(counted.speculation) if counted.speculation is not None else {},
    )


def _counts(prefix: PrefixReading) -> PrefixCounts:
    return PrefixCounts(prefix.requests, prefix.hits, prefix.tokens, prefix.saved_tokens, prefix.disk_tokens)


def _on_disk(prefix: PrefixReading | None) -> dict[str, int]:
    if prefix is None or not prefix.disk_limit_bytes:
        return {}
    return {"disk_used": prefix.disk_bytes, "disk_limit": prefix.disk_limit_bytes}


def _used(reading: KvReading | PrefixReading | None) -> dict[str, int]:
    if reading is None:
        return {}
    limit = {} if reading.limit_bytes is None else {"limit": reading.limit_bytes}
    return {"used": reading.bytes, **limit}


def _gpu_utilization(status: SystemStatus) -> dict[str, float]:
    gpus = status.gpu.gpus if status.gpu is not None else ()
    return {str(gpu.index): gpu.utilization for gpu in gpus if gpu.utilization is not None}


def _gpu_memory(status: SystemStatus) -> dict[tuple[str, str], int]:
    """By GPU and kind; what a driver does not tell is left out."""
    sizes = {
        (str(gpu.index), kind): size
        for gpu in (status.gpu.gpus if status.gpu is not None else ())
        for kind, size in (
            ("used", gpu.memory_used_bytes),
            ("allocated", gpu.memory_allocated_bytes),
            ("total", gpu.memory_total_bytes),
        )
    }
    return {key: size for key, size in sizes.items() if size is not None}


def _ocr(status: SystemStatus) -> dict[str, int]:
    child = status.child("ocr")
    load = child.health.ocr if child is not None and child.health is not None else None
    counted = counts.add_ocr(status.ended_ocr, load)
    return ({} if load is None else _ocr_gauges(load)) | ({} if counted is None else _ocr_counters(counted))


def _ocr_gauges(load: OcrLoad) -> dict[str, int]:
    return {
        "workers": load.workers,
        "workers_busy": load.busy,
        "queue_depth": load.waiting,
        "jobs_unfinished": load.jobs,
    }


def _ocr_counters(counted: OcrLoad) -> dict[str, int]:
    return {
        "model_loads": counted.model_loads,
        "worker_restarts": counted.worker_restarts,
        "workers_recycled": counted.recycled,
        "fallbacks": counted.fallbacks,
    }
