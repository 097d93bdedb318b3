"""What /api/gpu-status says: what is known, and for each null the reason why it is not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import msgspec
import pytest

from src.gpu import report
from src.gpu.report import Host, Recommendations
from src.ipc.messages import DeviceReading, Health, MemoryReading, ModelInfo

LINUX = Host("linux", 8, 64 << 30, 32 << 30)
MAC = Host("darwin", 12, 64 << 30, 3 << 30)
MLX_MEMORY = MemoryReading(1000, 10, 20, 30, 40)
Kind = Literal["metal", "cuda", "cpu", "none"]


def health(kind: Kind, memory: MemoryReading = MLX_MEMORY, **device: Any) -> Health:
    there = None if kind == "none" else kind
    facts = {"metal_available": there and there == "metal", "cuda_available": there and there == "cuda"}
    reading = DeviceReading(kind, **{"memory_total_bytes": 50, "mlx_version": "0.32.4", **facts, **device})
    return Health("ready", 1, memory, engine="mlx", model=ModelInfo("demo", 2048), device=reading)


def nulls(fields: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """The paths of all fields that are null."""
    for name, value in fields.items():
        if isinstance(value, dict) and name != "unavailable":
            yield from nulls(value, f"{name}.")
        elif value is None:
            yield prefix + name


CASES = [
    (None, LINUX),
    (None, MAC),
    (health("metal", name="Apple M3 Ultra"), MAC),
    (health("cuda"), LINUX),
    (health("cpu", blas="OpenBLAS (x)"), LINUX),
    (health("none", MemoryReading(1000), memory_total_bytes=None, mlx_version=None), LINUX),
    (Health("loading", 1, MemoryReading(1000)), LINUX),
]


@pytest.mark.parametrize(("reading", "host"), CASES)
def test_every_null_has_a_reason(reading: Health | None, host: Host) -> None:
    """No field is null without a word, and no reason is given for a field that is known."""
    status = msgspec.to_builtins(report.report(reading, host, 32).gpu_status)
    assert set(nulls(status)) == set(status["unavailable"])
    assert all(len(reason) > 10 for reason in status["unavailable"].values())


@pytest.mark.parametrize(("reading", "host"), CASES)
def test_no_zero_is_invented(reading: Health | None, host: Host) -> None:
    """What is not known is null, never 0."""
    memory = msgspec.to_builtins(report.report(reading, host, 32).gpu_status)["memory_bytes"]
    assert 0 not in memory.values()


@pytest.mark.parametrize(
    ("reading", "host", "expected"),
    [
        (
            health("metal"),
            MAC,
            {"metal_available": True, "cuda_available": False, "using_gpu": True, "device": "metal"},
        ),
        (
            health("cuda"),
            LINUX,
            {"metal_available": False, "cuda_available": True, "using_gpu": True, "device": "cuda"},
        ),
        (
            health("cpu"),
            LINUX,
            {"metal_available": False, "cuda_available": False, "using_gpu": False, "device": "cpu"},
        ),
        (
            health("cpu", metal_available=True),
            MAC,
            {"metal_available": True, "using_gpu": False, "using_cpu": True},
        ),
        (health("none"), LINUX, {"cuda_available": None, "using_gpu": None, "using_cpu": None}),
        (None, LINUX, {"metal_available": False, "cuda_available": None, "using_gpu": None, "using_cpu": None}),
        (None, MAC, {"metal_available": None, "cuda_available": False, "using_gpu": None, "device": None}),
    ],
)
def test_what_is_used(reading: Health | None, host: Host, expected: dict[str, Any]) -> None:
    """The device is the engine's own word; what a platform can never have is False without asking."""
    made = report.report(reading, host, 32)
    status = msgspec.to_builtins(made.gpu_status)
    assert {name: status[name] for name in expected} == expected
    assert made.success is (reading is not None)


def test_memory_and_models() -> None:
    """MLX's own figures stand beside the host's, and the loaded model is named."""
    status = report.report(health("cpu", blas="OpenBLAS (x)"), LINUX, 32).gpu_status
    assert msgspec.to_builtins(status.memory_bytes) == {
        "total": 50,
        "active": 10,
        "cache": 20,
        "peak": 30,
        "limit": 40,
        "host_total": 64 << 30,
        "host_available": 32 << 30,
    }
    assert (status.loaded_models, status.blas) == (("demo",), "OpenBLAS (x)")


@pytest.mark.parametrize(
    ("device", "host", "max_num_seqs", "expected"),
    [
        (None, LINUX, 32, None),
        (DeviceReading("metal"), MAC, 32, 6),
        (DeviceReading("metal"), MAC, 4, 4),
        (DeviceReading("metal"), Host("darwin", 8, 8 << 30, 1 << 20), 32, 1),
        (DeviceReading("cpu"), LINUX, 32, 8),
        (DeviceReading("cpu"), LINUX, 2, 2),
        (DeviceReading("none"), LINUX, 32, 8),
    ],
)
def test_how_many_at_once(device: DeviceReading | None, host: Host, max_num_seqs: int, expected: int | None) -> None:
    """On a GPU what memory holds, on a CPU one a core, never more than MAX_NUM_SEQS and never less than one."""
    assert report.recommend(device, host, max_num_seqs).max_concurrent == expected


@pytest.mark.parametrize(
    ("blas", "words"), [("OpenBLAS (x)", ["No GPU"]), ("reference BLAS", ["No GPU", "libopenblas0-pthread"])]
)
def test_a_slow_machine_is_told(blas: str, words: list[str]) -> None:
    """Who runs without a GPU or a fast BLAS learns what it costs and what helps."""
    warning = report.recommend(DeviceReading("cpu", blas=blas), LINUX, 32).performance_warning or ""
    assert [word for word in words if word not in warning] == []
    assert ("libopenblas" in warning) == ("libopenblas0-pthread" in words)


def test_a_gpu_needs_no_warning() -> None:
    """All is well with a GPU."""
    assert report.recommend(DeviceReading("metal"), MAC, 32) == Recommendations(6, None)


def test_the_host_is_read() -> None:
    """The machine's own figures make sense."""
    host = report.read_host()
    assert 0 < host.memory_available_bytes <= host.memory_total_bytes
    assert host.cores >= 1
