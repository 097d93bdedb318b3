"""The memory that a model would have on this machine, and whether a GPU computes: for `run.py models --suggest`."""

from __future__ import annotations

import platform
import sys

import psutil

from src.gpu.memory_plan import budget_bytes, read
from src.hub.starters import HostCapacity
from src.settings import Settings, SettingsError
from src.supervisor.gpus import Gpus


def here(settings: Settings) -> HostCapacity:
    """Apple Silicon's GPU has the machine's memory, NVIDIA's its own."""
    memory = psutil.virtual_memory().total
    if settings.device_type == "cpu":
        return HostCapacity(memory, gpu=False)
    if sys.platform == "darwin" and platform.machine() == "arm64":
        return HostCapacity(budget_bytes(read().total, settings.mlx_memory_fraction), gpu=True)
    own = _nvidia_bytes(settings)
    return HostCapacity(own or memory, gpu=own is not None)


def _nvidia_bytes(settings: Settings) -> int | None:
    try:
        gpus = Gpus(settings)
    except SettingsError:  # CUDA_DEVICE names one that is not here: `run.py check` says so
        return None
    gpus.close()
    return gpus.memory_bytes()
