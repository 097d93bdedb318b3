"""The body of /api/gpu-status from engine and host readings. Pure; unknown fields are null with a reason, never 0."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from src.gpu.advice import NOT_RUNNING, Recommendations, on_gpu, recommend
from src.gpu.machine import Host
from src.ipc.messages.status import DeviceReading, GpuReading, GpuSample, Health

# the device of an engine without a GPU, before the engine has reported
_PROCESSOR = DeviceReading("cpu", metal_available=False, cuda_available=False)


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
    """`unavailable` gives the reason for each null field; each of `gpus` has its own.

    `cpu_load_percent`: load average of the last minute per processor; over 100 processes wait.
    """

    metal_available: bool | None
    cuda_available: bool | None
    device: str | None
    device_name: str | None
    using_gpu: bool | None
    using_cpu: bool | None
    utilization_percent: float | None
    cpu_load_percent: float
    memory_bytes: MemoryStatus
    blas: str | None
    mlx_version: str | None
    mlx_library: str | None
    loaded_models: tuple[str, ...]
    gpus: tuple[GpuReading, ...]
    unavailable: dict[str, str]


class GpuReport(msgspec.Struct, frozen=True):
    """The body of /api/gpu-status. `success`: engine or supervisor reported a reading."""

    success: bool
    gpu_status: GpuStatus
    recommendations: Recommendations


def report(
    engines: Sequence[Health],
    host: Host,
    max_num_seqs: int,
    gpu: GpuSample | None = None,
    ocr: Health | None = None,
) -> GpuReport:
    """Build the report. The first engine reports the device; `gpu` is the supervisor's sample."""
    health = engines[0] if engines else None
    device = health.device if health is not None else None
    known = device or (_PROCESSOR if gpu is not None and gpu.source == "none" else None)
    used = gpu.used if gpu is not None and (device is None or on_gpu(device)) else None
    status = GpuStatus(
        # Metal exists on macOS only, CUDA on Linux only
        metal_available=(known.metal_available if known else None) if host.platform == "darwin" else False,
        cuda_available=(known.cuda_available if known else None) if host.platform == "linux" else False,
        device=known.kind if known else None,
        device_name=device.name if device else None,
        using_gpu=on_gpu(known) if known and known.kind != "none" else None,
        using_cpu=known.kind == "cpu" if known and known.kind != "none" else None,
        utilization_percent=None if used is None or used.utilization is None else round(100 * used.utilization, 1),
        cpu_load_percent=round(100 * host.load / host.cores, 1),
        memory_bytes=_memory(health, device, host),
        blas=device.blas if device else None,
        mlx_version=device.mlx_version if device else None,
        mlx_library=device.mlx_library if device else None,
        loaded_models=tuple(one.model.name for one in engines if one.model is not None and one.location == "gpu"),
        gpus=gpu.gpus if gpu is not None else (),
        unavailable={},
    )
    status = msgspec.structs.replace(status, unavailable=_reasons(status, device, gpu))
    return GpuReport(device is not None or gpu is not None, status, recommend(health, host, max_num_seqs, gpu, ocr))


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


def _reasons(status: GpuStatus, device: DeviceReading | None, gpu: GpuSample | None) -> dict[str, str]:
    reasons = {"utilization_percent": _no_utilization(device, gpu)} if status.utilization_percent is None else {}
    fields = {name: getattr(status, name) for name in status.__struct_fields__}
    fields |= {f"memory_bytes.{name}": getattr(status.memory_bytes, name) for name in MemoryStatus.__struct_fields__}
    for name, value in fields.items():
        if value is None and name not in reasons:
            reasons[name] = NOT_RUNNING if device is None else f"not reported by the {device.kind} device"
    return reasons


def _no_utilization(device: DeviceReading | None, gpu: GpuSample | None) -> str:
    if device is not None and not on_gpu(device):
        return "no GPU is used"
    if gpu is None:
        return "the supervisor, which reads the driver, does not respond"
    if gpu.source == "none":
        return "there is no GPU"
    if gpu.used is None:
        return gpu.reason or f"the selected GPU is unknown: {gpu.why}"
    return gpu.used.unavailable.get("utilization", "not reported by the driver")
