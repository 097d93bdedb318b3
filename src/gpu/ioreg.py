"""Apple GPUs: the driver's statistics in the IO registry, without root. Called on the thread of `GpuWatch`.

Keys differ by chip and release; what is missing is None with a reason.
"""

from __future__ import annotations

import re
import subprocess

from src.ipc.messages.status import GpuReading, GpuSample

# -c, not -k PerformanceStatistics: with a depth of 1 that never reaches the GPU
ARGV = ("/usr/sbin/ioreg", "-r", "-d", "1", "-w", "0", "-c", "IOAccelerator")

_TIMEOUT_S = 2.0
_ENTRY = re.compile(r"^\+-o ", re.MULTILINE)
_STATISTICS = re.compile(r'"PerformanceStatistics" = \{([^}]*)\}')
_NUMBER = re.compile(r'"([^"]+)"=(\d+)')
_MODEL = re.compile(r'"model" = "([^"]+)"')
_UNAVAILABLE = {
    "uuid": "Apple GPUs have none",
    "memory_total_bytes": "unified memory; the engine reports MLX's limit",
    "temperature_c": "macOS reports it to root only",
    "power_w": "macOS reports it to root only",
    "processes": "not reported by macOS",
}


def read() -> GpuSample:
    """Run ioreg; waits two seconds at most."""
    try:
        done = subprocess.run(ARGV, capture_output=True, text=True, timeout=_TIMEOUT_S, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        return GpuSample("ioreg", reason=f"ioreg failed: {type(error).__name__}")
    gpus = parse(done.stdout)
    return GpuSample("ioreg", gpus, None if gpus else "ioreg lists no accelerator")


def parse(text: str) -> tuple[GpuReading, ...]:
    """All accelerators with statistics."""
    entries = [(entry, found[1]) for entry in _ENTRY.split(text) if (found := _STATISTICS.search(entry))]
    return tuple(_reading(index, entry, statistics) for index, (entry, statistics) in enumerate(entries))


def _reading(index: int, entry: str, statistics: str) -> GpuReading:
    # a negative count is printed as a number near 2^64
    numbers = {key: int(value) for key, value in _NUMBER.findall(statistics) if int(value) < 1 << 53}
    model = _MODEL.search(entry)
    busy = numbers.get("Device Utilization %")
    unavailable = dict(_UNAVAILABLE)
    if busy is None or busy > 100:  # Intel's driver may report more
        unavailable["utilization"] = "not reported by the driver" if busy is None else f"the driver reports {busy} %"
        busy = None
    used, allocated = numbers.get("In use system memory"), numbers.get("Alloc system memory")
    for field, value in (("memory_used_bytes", used), ("memory_allocated_bytes", allocated)):
        if value is None:
            unavailable[field] = "not reported by the driver"
    return GpuReading(
        index,
        "metal",
        name=model[1] if model else entry.split(maxsplit=1)[0],
        utilization=None if busy is None else busy / 100,
        memory_used_bytes=used,
        memory_allocated_bytes=allocated,
        unavailable=unavailable,
    )
