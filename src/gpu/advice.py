"""Recommended concurrency from measured memory and the model's size, and performance warnings. Pure."""

from __future__ import annotations

import msgspec

from src.gpu.machine import Host
from src.installation import mlx_command
from src.ipc.messages.status import DeviceReading, GpuReading, GpuSample, Health

NOT_RUNNING = "the engine is not ready; only it can read the device"
OCR_PAGE_BYTES = 700 << 20  # the bundled recognizer on a large page
# tokens assumed per chat
_CHAT_TOKENS = 4096
_MB = 1 << 20


class Recommendations(msgspec.Struct, frozen=True):
    """Recommended concurrent chat requests and OCR pages, and the basis of the first number."""

    max_concurrent: int | None
    max_concurrent_reason: str
    max_concurrent_ocr: int
    performance_warning: str | None


def recommend(
    health: Health | None, host: Host, max_num_seqs: int, gpu: GpuSample | None = None, ocr: Health | None = None
) -> Recommendations:
    """Recommended concurrency: chats that fit into memory beside the weights, on a CPU at most one per core."""
    device = health.device if health is not None else None
    chats, reason = _chats(health, host, gpu.used if gpu is not None else None)
    if chats is not None:
        chats = max(1, min(chats, max_num_seqs, host.cores if not on_gpu(device) else chats))
    pages = 1 if on_gpu(device) and ocr is not None and ocr.engine == "mlx_vlm" else ocr_pages(host)
    slow = device.kind == "cpu" if device is not None else gpu is not None and gpu.source == "none"
    warning = no_gpu_warning(host, device.blas if device is not None else None) if slow else None
    if warning and gpu is not None and gpu.gpus:
        warning += (
            f" A GPU is present; DEVICE_TYPE or an MLX build without GPU support ({mlx_command('cuda13')}) excludes it."
        )
    if device is not None and device.library_problem is not None:
        warning = f"{warning} {device.library_problem}" if warning else device.library_problem
    return Recommendations(chats, reason, pages, warning)


def no_gpu_warning(host: Host, blas: str | None = None) -> str:
    """The cost of computing without a GPU, and the remedies."""
    warning = (
        "No GPU is used: expect answers 10 to 50 times slower than on Apple Silicon or NVIDIA. "
        f"OCR reads pages on the processor, up to {ocr_pages(host)} at once here."
    )
    if blas is not None and blas.startswith("reference"):
        warning += " No fast BLAS was found either; install libopenblas0-pthread."
    return warning


def ocr_pages(host: Host) -> int:
    """Concurrent pages on the CPU: one per core, limited by memory."""
    return max(1, min(host.cores, host.memory_available_bytes // OCR_PAGE_BYTES))


def _chats(health: Health | None, host: Host, gpu: GpuReading | None) -> tuple[int | None, str]:
    """How many chats fit into memory, and the figures behind it."""
    device, model = (health.device, health.model) if health is not None else (None, None)
    if health is None or device is None:
        return None, NOT_RUNNING
    if device.kind == "none":
        return host.cores, "this engine uses no device"
    if model is None or model.weight_bytes is None or model.kv_bytes_per_token is None:
        return None, "the engine does not report the sizes of its model and KV cache"
    active = health.memory.mlx_active_bytes or 0
    room = _free_bytes(health, device, host, gpu) + active - model.weight_bytes
    tokens = min(_CHAT_TOKENS, model.context_length)
    each = model.kv_bytes_per_token * tokens
    return max(0, room) // each, f"{room // _MB} MB beside the weights, {each / _MB:.1f} MB per chat of {tokens} tokens"


def _free_bytes(health: Health, device: DeviceReading, host: Host, gpu: GpuReading | None) -> int:
    """Memory the engine may still allocate: the minimum of driver, host and its own limit."""
    memory, active = health.memory, health.memory.mlx_active_bytes or 0
    bounds = [limit - active for limit in (memory.mlx_limit_bytes, device.memory_total_bytes) if limit is not None]
    if device.kind != "cuda":  # on CUDA the host's memory does not count
        bounds.append(host.memory_available_bytes)
    elif gpu is not None and gpu.memory_used_bytes is not None and gpu.memory_total_bytes is not None:
        bounds.append(gpu.memory_total_bytes - gpu.memory_used_bytes + (memory.mlx_cache_bytes or 0))
    return min(bounds, default=0)


def on_gpu(device: DeviceReading | None) -> bool:
    """Whether the engine computes on one."""
    return device is not None and device.kind in ("metal", "cuda")
