"""Apple GPUs, from the statistics their driver keeps in the IO registry, without root. Asked in the watch's thread.

The keys differ from chip to chip and from release to release; what is missing is None, and why is said.
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
_UNTOLD = {
    "uuid": "Apple GPUs have none",
    "memory_total_bytes": "it is the machine's memory; what of it MLX may take, the engine tells",
    "temperature_c": "macOS tells it to root alone",
    "power_w": "macOS tells it to root alone",
    "processes": "macOS does not tell",
}


def read() -> GpuSample:
    """Ask now; waits for two seconds at most."""
    try:
        done = subprocess.run(ARGV, capture_output=True, text=True, timeout=_TIMEOUT_S, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        return GpuSample("ioreg", reason=f"ioreg gave no answer: {type(error).__name__}")
    gpus = parse(done.stdout)
    return GpuSample("ioreg", gpus, None if gpus else "ioreg knows no accelerator")


def parse(text: str) -> tuple[GpuReading, ...]:
    """Every accelerator that keeps statistics."""
    entries = [(entry, found[1]) for entry in _ENTRY.split(text) if (found := _STATISTICS.search(entry))]
    return tuple(_reading(index, entry, statistics) for index, (entry, statistics) in enumerate(entries))


def _reading(index: int, entry: str, statistics: str) -> GpuReading:
    # a count that went below zero is printed as one near 2^64
    numbers = {key: int(value) for key, value in _NUMBER.findall(statistics) if int(value) < 1 << 53}
    model = _MODEL.search(entry)
    busy = numbers.get("Device Utilization %")
    unavailable = dict(_UNTOLD)
    if busy is None or busy > 100:  # Intel's driver was seen to say more
        unavailable["utilization"] = "its driver does not tell" if busy is None else f"its driver says {busy} %"
        busy = None
    used, allocated = numbers.get("In use system memory"), numbers.get("Alloc system memory")
    for field, value in (("memory_used_bytes", used), ("memory_allocated_bytes", allocated)):
        if value is None:
            unavailable[field] = "its driver does not tell"
    return GpuReading(
        index,
        "metal",
        name=model[1] if model else entry.split(maxsplit=1)[0],
        utilization=None if busy is None else busy / 100,
        memory_used_bytes=used,
        memory_allocated_bytes=allocated,
        unavailable=unavailable,
    )
