"""Selects the NVIDIA GPU: pure, from NVML readings and settings.

Decided once at startup; applied as CUDA_VISIBLE_DEVICES in the environment of engine and OCR.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from src.ipc.messages.status import GpuReading
from src.settings import SettingsError


@dataclass(frozen=True)
class GpuSelection:
    """The selected GPU by NVML index, None when CUDA selects; with the reason as text."""

    index: int | None
    why: str
    environment: dict[str, str] = field(default_factory=dict)


def select(gpus: Sequence[GpuReading], wanted: int | Literal["auto"], visible: str, preset: str | None) -> GpuSelection:
    """Select a GPU. `visible` is NVIDIA_VISIBLE_DEVICES, `preset` an existing CUDA_VISIBLE_DEVICES.

    Raises:
        SettingsError: the GPU does not exist, or NVIDIA_VISIBLE_DEVICES excludes it.
    """
    if visible in ("none", "void"):
        return GpuSelection(None, f"NVIDIA_VISIBLE_DEVICES={visible}", {"CUDA_VISIBLE_DEVICES": ""})
    allowed = _allowed(gpus, visible)
    if wanted != "auto":
        if wanted not in {gpu.index for gpu in allowed}:
            there = ", ".join(str(gpu.index) for gpu in allowed) or "none"
            raise SettingsError([f"CUDA_DEVICE: GPU {wanted} is not available; available: {there}"])
        return _chosen(wanted, "set by CUDA_DEVICE")
    if preset is not None:
        return GpuSelection(None, f"CUDA_VISIBLE_DEVICES={preset} is set")
    if not allowed:
        return GpuSelection(None, "no GPU is available")
    best = min(allowed, key=_load)
    return _chosen(best.index, "the only one" if len(allowed) == 1 else f"the least used of {len(allowed)}")


def _chosen(index: int, why: str) -> GpuSelection:
    # CUDA numbers GPUs by speed, NVML by bus
    return GpuSelection(index, why, {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": str(index)})


def _allowed(gpus: Sequence[GpuReading], visible: str) -> Sequence[GpuReading]:
    listed = {name.strip() for name in visible.split(",") if name.strip()}
    if not listed or listed == {"all"}:
        return gpus
    named = [gpu for gpu in gpus if str(gpu.index) in listed or gpu.uuid in listed]
    if len(named) == len(listed):
        return named
    if len(gpus) <= len(listed):
        return gpus  # a container: its runtime has hidden the others and renumbered
    raise SettingsError([f"NVIDIA_VISIBLE_DEVICES: {visible} names a GPU that does not exist"])


def _load(gpu: GpuReading) -> tuple[float, float, int, int]:
    """Sort key: memory in tenths first, since a model must fit; then utilization; then memory in bytes."""
    processes = sum(process.memory_bytes or 0 for process in gpu.processes or ())
    used = processes if gpu.memory_used_bytes is None else gpu.memory_used_bytes
    share = round(used / gpu.memory_total_bytes, 1) if gpu.memory_total_bytes else 0.0
    return share, gpu.utilization or 0.0, used, gpu.index
