"""Which device MLX computes on, and how much memory it may take there. Called before any model is loaded; `start`
whenever something is to be computed while Python goes on."""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import Any, Literal

import mlx.core as mx
import msgspec

from src import logs
from src.errors import ModelLoadFailed
from src.gpu import footprint, memory_plan, mlx_library
from src.installation import mlx_command
from src.ipc.messages.status import DeviceReading, MemoryReading
from src.settings import EngineSettings, Settings

# freed buffers that MLX keeps for others of their size: on a CPU more made an engine grow by a gigabyte, no faster
_CPU_CACHE_BYTES = 256 << 20


def choose_device(settings: EngineSettings, blas: str | None) -> DeviceReading:
    """Choose the device, bound MLX's memory, and say what it is.

    Raises:
        ModelLoadFailed: when DEVICE_TYPE asks for a GPU that is not there.
    """
    kind: Literal["metal", "cuda", "cpu"]
    kind = "metal" if mx.metal.is_available() else "cuda" if mx.cuda.is_available() else "cpu"
    if settings.device_type == "gpu" and kind == "cpu":
        raise ModelLoadFailed("DEVICE_TYPE=gpu, but MLX finds no GPU on this machine. Set DEVICE_TYPE=auto.")
    if settings.require_gpu and kind == "cpu":
        raise ModelLoadFailed(f"REQUIRE_GPU=true, but MLX finds no GPU (on NVIDIA: {mlx_command('cuda13')}).")
    if settings.device_type == "cpu" or kind == "cpu":
        kind = "cpu"
        mx.set_default_device(mx.cpu)
    if kind == "cpu" and sys.platform == "linux":
        # compiling calls g++ (seconds at the first answer) and gains nothing there: docs/adr/0007
        mx.disable_compile()
    facts = mx.device_info()
    dedicated = int(facts.get("total_memory") or 0) if kind == "cuda" else 0
    recommended = int(facts.get("max_recommended_working_set_size") or 0)
    total = memory_plan.read(dedicated=dedicated, recommended=recommended).total
    budget = memory_plan.budget_bytes(total, settings.mlx_memory_fraction)
    mx.set_memory_limit(budget)
    mx.set_cache_limit(min(budget, _CPU_CACHE_BYTES) if kind == "cpu" else budget)
    library = mlx_library.examine()
    if library.problem is not None:
        logs.model.warning("{}", library.problem)
    name = str(facts.get("device_name") or facts.get("architecture") or "") or None
    return DeviceReading(
        kind=kind,
        name=name,
        blas=blas if kind == "cpu" else None,
        memory_total_bytes=total,
        mlx_version=version("mlx"),
        mlx_library=library.name,
        library_problem=library.problem,
        metal_available=mx.metal.is_available(),
        cuda_available=mx.cuda.is_available(),
    )


def bound_wired(settings: Settings, device: DeviceReading) -> None:
    """Keep a share wired, on a Mac. mlx-lm and mlx-vlm let each process wire all that Metal recommends, which several
    engines then do together: called after they have, with the weights loaded."""
    if device.kind != "metal" or not device.memory_total_bytes:
        return
    budget = memory_plan.budget_bytes(
        device.memory_total_bytes, settings.mlx_memory_fraction, settings.memory_budget_mb
    )
    limit = memory_plan.wired_bytes(
        budget, settings.max_concurrent_models, mx.get_active_memory(), settings.wired_limit
    )
    mx.set_wired_limit(min(limit, device.memory_total_bytes))  # more than the system's is an error


def start(*arrays: Any) -> None:
    """Begin computing arrays, or structures of them, without waiting."""
    mx.async_eval(*arrays)  # type: ignore[no-untyped-call]  # MLX's stub says nothing of it


def read_memory() -> MemoryReading:
    """Of this process, MLX's own figures among it."""
    return msgspec.structs.replace(
        footprint.own(),
        mlx_active_bytes=mx.get_active_memory(),
        mlx_cache_bytes=mx.get_cache_memory(),
        mlx_peak_bytes=mx.get_peak_memory(),
        mlx_limit_bytes=mx.get_memory_limit(),
    )
