"""How much is recommended at once: what memory beside the model holds, and on a CPU no more than it has cores."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from src.gpu.advice import no_gpu_warning, recommend
from src.gpu.machine import Host
from src.ipc.messages.status import DeviceReading, GpuReading, GpuSample, Health, MemoryReading, ModelInfo

GB = 1 << 30
MAC = Host("darwin", 12, 64 * GB, 40 * GB, 1.0)
LINUX = Host("linux", 8, 64 * GB, 32 * GB, 1.0)
# Llama 3 8B, 16 bit: 32 layers, 8 KV heads of 128 numbers
LLAMA = ModelInfo("llama", 8192, weight_bytes=16 * GB, kv_bytes_per_token=2 * 32 * 8 * 128 * 2)
Kind = Literal["metal", "cuda", "cpu", "none"]


def health(
    kind: Kind, *, total: int | None = 48 * GB, active: int = 16 * GB, model: ModelInfo | None = LLAMA, **memory: Any
) -> Health:
    reading = MemoryReading(17 * GB, mlx_active_bytes=active, **memory)
    return Health("ready", 1, reading, model=model, device=DeviceReading(kind, memory_total_bytes=total))


@pytest.mark.parametrize(
    ("given", "host", "expected"),
    [
        (health("metal"), MAC, 64),  # 32 GB beside the weights, 0.5 GB for each chat of 4096 tokens
        (health("metal", active=20 * GB), MAC, 64),  # what chats have now is theirs already
        (health("metal", active=0), MAC, 48),  # offloaded: 40 GB are free, and the weights come back
        (health("metal"), Host("darwin", 12, 64 * GB, 3 * GB, 1.0), 6),  # others have taken the rest
        (health("metal", mlx_limit_bytes=20 * GB), MAC, 8),  # MLX_MEMORY_FRACTION
        (health("metal"), Host("darwin", 12, 64 * GB, 0, 1.0), 1),
        (health("cuda", total=24 * GB), LINUX, 16),
        (health("cuda", total=24 * GB), Host("linux", 8, 4 * GB, GB, 1.0), 16),  # the host's memory is another
        (health("cpu", total=64 * GB), LINUX, 8),  # one a core
        (health("cpu", total=64 * GB), Host("linux", 8, 64 * GB, 2 * GB, 1.0), 4),
        (health("none", model=None), LINUX, 8),
    ],
)
def test_how_many_chats_memory_holds(given: Health, host: Host, expected: int) -> None:
    made = recommend(given, host, 1000)
    assert made.max_concurrent == expected, made.max_concurrent_reason


def test_the_drivers_word_on_free_memory_counts() -> None:
    """Others on the same GPU take from what there is; our cache can be given back."""
    crowded = GpuReading(0, "cuda", memory_used_bytes=22 * GB, memory_total_bytes=24 * GB)
    told = GpuSample("nvml", (crowded,))
    assert recommend(health("cuda", total=24 * GB), LINUX, 1000, told).max_concurrent == 4
    cached = health("cuda", total=24 * GB, mlx_cache_bytes=GB)
    assert recommend(cached, LINUX, 1000, told).max_concurrent == 6


def test_the_figures_are_told() -> None:
    reason = recommend(health("metal"), MAC, 32).max_concurrent_reason
    assert reason == "32768 MB beside the weights, 512.0 MB per chat of 4096 tokens"


def test_never_more_than_the_batch() -> None:
    assert recommend(health("metal"), MAC, 32).max_concurrent == 32


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (None, "not ready"),
        (Health("loading", 1, MemoryReading(1)), "not ready"),
        (health("metal", model=None), "does not report the sizes"),
        (health("metal", model=ModelInfo("remote", 4096)), "does not report the sizes"),
    ],
)
def test_unknown_is_null_with_a_reason(given: Health | None, words: str) -> None:
    made = recommend(given, MAC, 32)
    assert made.max_concurrent is None
    assert words in made.max_concurrent_reason


def test_ocr_without_a_gpu_takes_more_pages_at_once() -> None:
    """One for each core on a processor, as memory holds; a vision model on a GPU reads one by one."""
    vision = Health("ready", 1, MemoryReading(1), engine="mlx_vlm")
    assert recommend(health("metal"), MAC, 32, ocr=vision).max_concurrent_ocr == 1
    assert recommend(health("cpu"), LINUX, 32, ocr=vision).max_concurrent_ocr == 8
    assert recommend(None, Host("linux", 8, 4 * GB, 2 * GB, 1.0), 32).max_concurrent_ocr == 2


@pytest.mark.parametrize(
    ("blas", "words"), [("OpenBLAS (x)", ["No GPU"]), ("reference BLAS", ["No GPU", "libopenblas0-pthread"])]
)
def test_a_slow_machine_is_told(blas: str, words: list[str]) -> None:
    """Who runs without a GPU or a fast BLAS learns what it costs and what helps."""
    warning = no_gpu_warning(LINUX, blas)
    assert [word for word in words if word not in warning] == []
    assert ("libopenblas" in warning) == ("libopenblas0-pthread" in words)
    assert "up to 8 at once" in warning


def test_a_gpu_needs_no_warning() -> None:
    assert recommend(health("metal"), MAC, 32).performance_warning is None
    assert recommend(None, MAC, 32, GpuSample("ioreg")).performance_warning is None


def test_a_gpu_that_lies_idle_is_pointed_out() -> None:
    told = GpuSample("nvml", (GpuReading(0, "cuda"),))
    assert "A GPU is present" in (recommend(health("cpu"), LINUX, 32, told).performance_warning or "")


@pytest.mark.parametrize("given", [health("cpu"), None])
def test_a_machine_without_one_is_warned_of_before_a_model_is_loaded(given: Health | None) -> None:
    assert "10 to 50 times slower" in (recommend(given, LINUX, 32, GpuSample("none")).performance_warning or "")
