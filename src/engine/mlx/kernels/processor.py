"""Whether a Linux processor has instructions for products of 8-bit numbers. Used at load, by `install`."""

from __future__ import annotations

from pathlib import Path

_NAMES = {"avx_vnni", "avx512_vnni", "asimddp"}  # x86-64, and ARM's dot products


def has_dot_products(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """False where the file cannot be read."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    flags = (line.partition(":")[2].split() for line in lines if line.startswith(("flags", "Features")))
    return not _NAMES.isdisjoint(next(flags, []))
