"""Whether an exception is a GPU fault: after repeated ones the engine may fall back to the CPU (GPU_FALLBACK).

Pure; called by `engine/main`. Matches the texts that MLX raises for Metal command buffers and CUDA calls.
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
    """Whether the exception or its cause is a GPU fault."""
    return bool(_WORDS.search(str(error))) or (error.__cause__ is not None and of_gpu(error.__cause__))
