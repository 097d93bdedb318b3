"""Whether an error is the GPU's own: such a process is replaced as any that failed, but where it keeps happening the
engine may come back on the CPU (GPU_FALLBACK). Pure; asked by `engine/main`.

MLX raises what Metal's command buffers and CUDA's calls report, in these words.
"""

from __future__ import annotations

import re

_WORDS = re.compile(
    r"\[METAL\] Command buffer execution failed"
    r"|kIOGPUCommandBufferCallbackError"
    r"|\bcuda[A-Z]\w*(?:\(.*\))? failed: "
    r"|\bCUDA error\b"
)


def of_gpu(error: BaseException) -> bool:
    """Whether it, or what it came from, is an error of the GPU."""
    return bool(_WORDS.search(str(error))) or (error.__cause__ is not None and of_gpu(error.__cause__))
