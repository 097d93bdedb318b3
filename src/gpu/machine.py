"""The machine: memory, and whether MLX has a GPU, detected by files only. No driver is called."""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

# the driver on Linux, in containers with devices only, on WSL
_NVIDIA = (Path("/proc/driver/nvidia/version"), Path("/dev/nvidiactl"), Path("/usr/lib/wsl/lib/libnvidia-ml.so.1"))


@dataclass(frozen=True)
class Host:
    """The machine as psutil sees it. `load`: load average of the last minute."""

    platform: str
    cores: int
    memory_total_bytes: int
    memory_available_bytes: int
    load: float


def read_host() -> Host:
    memory = psutil.virtual_memory()
    return Host(sys.platform, psutil.cpu_count() or 1, memory.total, memory.available, psutil.getloadavg()[0])


def gpu_kind() -> Literal["metal", "cuda", "none"]:
    """The kind of GPU."""
    if sys.platform == "darwin" and platform.machine() == "arm64":
        return "metal"
    return "cuda" if any(path.exists() for path in _NVIDIA) else "none"
