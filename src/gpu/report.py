"""What /api/gpu-status says, from what the engine and the host tell. Pure; null with a reason, never an invented 0."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import msgspec
import psutil

from src.ipc.messages import DeviceReading, Health

_NOT_RUNNING = "the engine is not ready; only it can ask the device"
# per-request memory beside the weights we recommend with: KV cache and activations of a mid-sized chat
_PER_REQUEST_BYTES = 512 << 20


@dataclass(frozen=True)
class Host:
    """The machine as psutil sees it."""

    platform: str
    cores: int
    memory_total_bytes: int
    memory_available_bytes: int


class MemoryStatus(msgspec.Struct, frozen=True):
    """Bytes. `active`, `cache`, `peak` and `limit` are MLX's own figures in the engine."""

    total: int | None
    active: int | None
    cache: int | None
    peak: int | None
    limit: int | None
    host_total: int
    host_available: int


class GpuStatus(msgspec.Struct, frozen=True):
    """`unavailable` says for each null field why it is null."""

    metal_available: bool | None
    cuda_available: bool | None
    device: str | None
    device_name: str | None
    using_gpu: bool | None
    using_cpu: bool | None
    utilization_percent: float | None
    memory_bytes: MemoryStatus
    blas: str | None
    mlx_version: str | None
    loaded_models: tuple[str, ...]
    unavailable: dict[str, str]


class Recommendations(msgspec.Struct, frozen=True):
    """`max_concurrent`: chat requests this machine answers well at once; null while the device is unknown."""

    max_concurrent: int | None
    performance_warning: str | None


class GpuReport(msgspec.Struct, frozen=True):
    """The body of /api/gpu-status."""

    success: bool
    gpu_status: GpuStatus
    recommendations: Recommendations


def read_host() -> Host:
    memory = psutil.virtual_memory()
    return Host(sys.platform, psutil.cpu_count() or 1, memory.total, memory.available)


def report(health: Health | None, host: Host, max_num_seqs: int) -> GpuReport:
    """Put together what is known; `health` is the engine's, None when it does not run."""
    device = health.device if health is not None else None
    status = GpuStatus(
        # that there is no Metal but on a Mac, and no CUDA there, needs nobody's word
        metal_available=(device.metal_available if device else None) if host.platform == "darwin" else False,
        cuda_available=(device.cuda_available if device else None) if host.platform == "linux" else False,
        device=device.kind if device else None,
        device_name=device.name if device else None,
        using_gpu=device.kind in ("metal", "cuda") if device and device.kind != "none" else None,
        using_cpu=device.kind == "cpu" if device and device.kind != "none" else None,
        utilization_percent=None,
        memory_bytes=_memory(health, device, host),
        blas=device.blas if device else None,
        mlx_version=device.mlx_version if device else None,
        loaded_models=(health.model.name,) if health is not None and health.model is not None else (),
        unavailable={},
    )
    status = msgspec.structs.replace(status, unavailable=_reasons(status, device))
    return GpuReport(device is not None, status, recommend(device, host, max_num_seqs))


def recommend(device: DeviceReading | None, host: Host, max_num_seqs: int) -> Recommendations:
    """How many chats at once: on a CPU one a core; on a GPU what free memory holds, never more than MAX_NUM_SEQS."""
    if device is None:
        return Recommendations(None, None)
    if device.kind in ("metal", "cuda"):
        room = max(1, host.memory_available_bytes // _PER_REQUEST_BYTES)
        return Recommendations(min(max_num_seqs, room), None)
    warning = "No GPU is used: expect answers 10 to 50 times slower than on Apple Silicon or NVIDIA."
    if device.blas is not None and device.blas.startswith("reference"):
        warning += " No fast BLAS was found either; install libopenblas0-pthread."
    return Recommendations(min(max_num_seqs, host.cores), warning)


def _memory(health: Health | None, device: DeviceReading | None, host: Host) -> MemoryStatus:
    memory = health.memory if health is not None else None
    return MemoryStatus(
        total=device.memory_total_bytes if device else None,
        active=memory.mlx_active_bytes if memory else None,
        cache=memory.mlx_cache_bytes if memory else None,
        peak=memory.mlx_peak_bytes if memory else None,
        limit=memory.mlx_limit_bytes if memory else None,
        host_total=host.memory_total_bytes,
        host_available=host.memory_available_bytes,
    )


def _reasons(status: GpuStatus, device: DeviceReading | None) -> dict[str, str]:
    reasons = {"utilization_percent": _no_utilization(device)}
    fields = {name: getattr(status, name) for name in status.__struct_fields__}
    fields |= {f"memory_bytes.{name}": getattr(status.memory_bytes, name) for name in MemoryStatus.__struct_fields__}
    for name, value in fields.items():
        if value is None and name not in reasons:
            reasons[name] = _NOT_RUNNING if device is None else f"not told by the {device.kind} device"
    return reasons


def _no_utilization(device: DeviceReading | None) -> str:
    if device is None:
        return _NOT_RUNNING
    return "no GPU is used" if device.kind in ("cpu", "none") else "this version does not sample GPU utilisation"
