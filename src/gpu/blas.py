"""A fast BLAS for MLX on a Linux CPU, loaded before MLX is imported.

The CPU wheel of MLX links netlib's reference BLAS (1-6 GFLOP/s a core); an OpenBLAS whose symbols are global before
`libmlx.so` is loaded takes precedence (30-100 GFLOP/s). On macOS MLX uses Accelerate.
An OpenBLAS on a processor newer than itself computes for a very old one, several times slower: it is told better.
Measured in docs/adr/0007. Called before importing MLX.
"""

from __future__ import annotations

import _ctypes
import ctypes
import importlib.util
import sys
from collections.abc import Collection, Iterator
from functools import cache
from operator import attrgetter
from pathlib import Path

from src.settings.surroundings import blas_core, chosen_blas_core

# paths on Debian, Fedora and Arch
_SYSTEM = (
    "/usr/lib/*/openblas-pthread/libopenblas.so.0",
    "/usr/lib/*/openblas*/libopenblas.so.0",
    "/usr/lib64/libopenblasp.so.0",
    "/usr/lib/libopenblas.so",
)
_CPUINFO = Path("/proc/cpuinfo")
_HANDLE = attrgetter("_handle")
# OpenBLAS's names of x86 processors without AVX2: what it takes one for that it does not know
_OLD_CORES = frozenset(
    (
        *("Prescott", "Core2", "Penryn", "Dunnington", "Nehalem", "Atom", "Nano", "Katmai", "Coppermine", "Northwood"),
        *("Banias", "Athlon", "Opteron", "Opteron_SSE3", "Barcelona", "Bobcat", "Generic"),
    )
)
_AVX2 = frozenset({"avx2", "fma"})
_AVX512 = _AVX2 | {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}
REFERENCE = "reference BLAS of the MLX wheel (slow: install libopenblas0-pthread)"


def preload(wanted: Path | None = None) -> str | None:
    """Load the first BLAS found, for the whole process.

    Returns:
        Its name and folder, `REFERENCE` when none was found, None on macOS.

    Raises:
        OSError: the `wanted` library cannot be loaded.
    """
    if sys.platform != "linux":
        return None
    for path in [wanted] if wanted else candidates():
        try:
            told = _load(path)
        except OSError:
            if wanted:
                raise
            continue
        return f"{path.name} ({path.parent}{told})"
    return REFERENCE


def better_core(core: str, flags: Collection[str]) -> str | None:
    """What OpenBLAS should compute for, where it took a processor of these `flags` for an old one; else None."""
    if core not in _OLD_CORES:
        return None
    known = ((_AVX512, "SkylakeX"), (_AVX2, "Haswell"))
    return next((name for needed, name in known if needed <= set(flags)), None)


@cache
def _load(path: Path) -> str:
    """Load it for the whole process; what it had to be told, in words: the same each time, as calibrations go by it."""
    library = ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
    core = better_core(_core(library), _flags()) if chosen_blas_core() is None else None
    if core is None:
        return ""
    _ctypes.dlclose(_HANDLE(library))  # it decides once, as it is loaded
    with blas_core(core):
        told = _core(ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)) == core
    return f"; told to compute for {core}" if told else ""  # not where somebody had loaded it before


def _core(library: ctypes.CDLL) -> str:
    """What it computes for, by its own word; empty where it is no OpenBLAS."""
    ask = getattr(library, "openblas_get_corename", None)
    if ask is None:
        return ""
    ask.restype = ctypes.c_char_p
    return str(ask().decode())


def _flags() -> list[str]:
    """What this processor can do, as Linux names it; nothing on one that is no x86."""
    lines = _CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines() if _CPUINFO.exists() else []
    return next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), [])


def candidates() -> Iterator[Path]:
    """System libraries first, then the one inside the opencv wheels (an undocumented detail: optional)."""
    for pattern in _SYSTEM:
        yield from sorted(Path("/").glob(pattern[1:]))
    spec = importlib.util.find_spec("cv2")
    if spec is not None and spec.origin is not None:
        packages = Path(spec.origin).parent.parent
        yield from sorted(packages.glob("opencv_python*.libs/libopenblas*.so*"))
