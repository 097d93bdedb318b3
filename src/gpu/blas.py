"""A fast BLAS for MLX on a Linux CPU, loaded before MLX is imported.

The CPU wheel of MLX links netlib's reference BLAS (1-6 GFLOP/s a core); an OpenBLAS whose symbols are global before
`libmlx.so` is loaded takes precedence (30-100 GFLOP/s). On macOS MLX uses Accelerate.
Measured in docs/adr/0007. Called before importing MLX.
"""

from __future__ import annotations

import ctypes
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

# paths on Debian, Fedora and Arch
_SYSTEM = (
    "/usr/lib/*/openblas-pthread/libopenblas.so.0",
    "/usr/lib/*/openblas*/libopenblas.so.0",
    "/usr/lib64/libopenblasp.so.0",
    "/usr/lib/libopenblas.so",
)
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
            ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
        except OSError:
            if wanted:
                raise
            continue
        return f"{path.name} ({path.parent})"
    return REFERENCE


def candidates() -> Iterator[Path]:
    """System libraries first, then the one inside the opencv wheels (an undocumented detail: optional)."""
    for pattern in _SYSTEM:
        yield from sorted(Path("/").glob(pattern[1:]))
    spec = importlib.util.find_spec("cv2")
    if spec is not None and spec.origin is not None:
        packages = Path(spec.origin).parent.parent
        yield from sorted(packages.glob("opencv_python*.libs/libopenblas*.so*"))
