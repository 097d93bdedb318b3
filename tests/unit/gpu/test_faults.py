"""Errors of the GPU, in the words they were reported in."""

from __future__ import annotations

import pytest

from src.gpu.faults import of_gpu

# each from the thread behind it
REPORTED = {
    "lyogavin/airllm#367": "[METAL] Command buffer execution failed: Caused GPU Timeout Error "
    "(00000002:kIOGPUCommandBufferCallbackErrorTimeout)",
    "madroidmaq/mlx-omni-server#59": "[METAL] Command buffer execution failed: Insufficient Memory "
    "(00000008:kIOGPUCommandBufferCallbackErrorOutOfMemory)",
    "Blaizzy/mlx-vlm#270": "[METAL] Command buffer execution failed: Invalid Resource "
    "(00000009:kIOGPUCommandBufferCallbackErrorInvalidResource)",
    "jundot/omlx#1387": "[METAL] Command buffer execution failed: Impacting Interactivity "
    "(0000000e: kIOGPUCommandBufferCallbackErrorImpactingInteractivity)",
    "mousebird-consulting-inc/WhirlyGlobe#1599": "Execution of the command buffer was aborted due to an error during "
    "execution. Ignored (for causing prior/excessive GPU errors) "
    "(00000004:kIOGPUCommandBufferCallbackErrorSubmissionsIgnored)",
    "ml-explore/mlx#2821": "cudaMallocManaged failed: an illegal memory access was encountered.",
    "ml-explore/mlx#2821, at the end": "cudaFreeAsync(buf->data, free_streams_[buf->device]) failed: "
    "an illegal memory access was encountered",
    "ml-explore/mlx#2519": "cudaMemAdvise(data_, small_pool_size, cudaMemAdviseSetReadMostly, 0) failed: "
    "invalid argument",
    "ml-explore/mlx#4523": "cudaPeekAtLastError() failed: out of memory",
}


@pytest.mark.parametrize("said", REPORTED.values(), ids=REPORTED)
def test_what_gpus_said(said: str) -> None:
    """Metal and CUDA, as MLX passes them on; also when it is the cause of another error."""
    assert of_gpu(RuntimeError(said))
    wrapped = ValueError("loading failed")
    wrapped.__cause__ = RuntimeError(said)
    assert of_gpu(wrapped)


@pytest.mark.parametrize(
    "said",
    [
        "[matmul] Last dimension of first input with shape (1,8) must match second to last dimension (4,4).",
        "fake:error was asked for",
        "the I/O thread has not moved for 5 s",
        "CUDA is not available",
        "",
    ],
)
def test_what_is_not_the_gpus(said: str) -> None:
    """A wrong shape fails on every device."""
    assert not of_gpu(RuntimeError(said))
