"""An optimised BLAS for MLX on Linux: the CPU wheel links the reference BLAS, some ten times slower."""

from __future__ import annotations

import ctypes
import os
import sys
import sysconfig
from pathlib import Path

SYSTEM = "/usr/lib/x86_64-linux-gnu/openblas-pthread/libopenblas.so.0"


def candidates() -> list[Path]:
    """The system's OpenBLAS, then those that wheels carry."""
    packages = Path(sysconfig.get_paths()["purelib"])
    return [Path(SYSTEM), *sorted(packages.glob("opencv_python*.libs/libopenblas*.so"))]


def load_blas() -> str | None:
    """Put an OpenBLAS before the one MLX links; to be called before MLX is imported. The library's path, if any."""
    if sys.platform != "linux":
        return None
    os.environ.setdefault("OPENBLAS_NUM_THREADS", str(min(8, os.cpu_count() or 1)))
    for path in candidates():
        if path.exists():
            ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
            return str(path)
    return None
