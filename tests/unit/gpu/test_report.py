"""What /api/gpu-status says: what is known, and for each null the reason why it is not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import msgspec
import pytest

from src.gpu import ioreg, report
from src.gpu.machine import Host, read_host
from src.gpu.report import GpuReport
from src.gpu.watch import NO_GPU
from src.ipc.messages.status import DeviceReading, GpuReading, GpuSample, Health, MemoryReading, ModelInfo

LINUX = Host("linux", 8, 64 << 30, 32 << 30, 1.0)
MAC = Host("darwin", 12, 64 << 30, 3 << 30, 1.0)
MLX_MEMORY = MemoryReading(1000, 10, 20, 30, 40)
Kind = Literal["metal", "cuda", "cpu", "none"]


def health(kind: Kind, memory: MemoryReading = MLX_MEMORY, **device: Any) -> Health:
    there = None if kind == "none" else kind
    facts = {"metal_available": there and there == "metal", "cuda_available": there and there == "cuda"}
    reading = DeviceReading(kind, **{"memory_total_bytes": 50, "mlx_version": "0.32.4", **facts, **device})
    return Health("ready", 1, memory, engine="mlx", model=ModelInfo("demo", 2048), device=reading)


def told(engine: Health | None, *facts: Any) -> GpuReport:
    return report.report([engine] if engine is not None else [], *facts)


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
    status = msgspec.to_builtins(told(reading, host, 32).gpu_status)
    assert set(nulls(status)) == set(status["unavailable"])
    assert all(len(reason) > 10 for reason in status["unavailable"].values())


@pytest.mark.parametrize(("reading", "host"), CASES)
def test_no_zero_is_invented(reading: Health | None, host: Host) -> None:
    """What is not known is null, never 0."""
    memory = msgspec.to_builtins(told(reading, host, 32).gpu_status)["memory_bytes"]
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
    made = told(reading, host, 32)
    status = msgspec.to_builtins(made.gpu_status)
    assert {name: status[name] for name in expected} == expected
    assert made.success is (reading is not None)


def test_memory_and_models() -> None:
    """MLX's own figures stand beside the host's, and the loaded model is named."""
    status = told(health("cpu", blas="OpenBLAS (x)"), LINUX, 32).gpu_status
    assert msgspec.to_builtins(status.memory_bytes) == {
        "total": 50,
        "active": 10,
        "cache": 20,
        "peak": 30,
        "limit": 40,
        "host_total": 64 << 30,
        "host_available": 32 << 30,
    }
    assert status.cpu_load_percent == 12.5
    assert (status.loaded_models, status.blas) == (("demo",), "OpenBLAS (x)")


def test_every_model_on_the_device_is_named() -> None:
    """Those that are warm in host memory are not."""
    models = {name: ModelInfo(name, 2048) for name in ("a", "b", "c")}
    engines = [msgspec.structs.replace(health("metal"), model=model) for model in models.values()]
    engines[1] = msgspec.structs.replace(engines[1], location="cpu")
    assert report.report(engines, MAC, 32).gpu_status.loaded_models == ("a", "c")


def test_a_machine_without_a_gpu_needs_no_engine_to_say_so() -> None:
    """Models are loaded when they are asked for; what is certain is told before. What only an engine knows is null."""
    made = told(None, LINUX, 32, NO_GPU)
    status = msgspec.to_builtins(made.gpu_status)
    assert (made.success, status["device"], status["using_gpu"], status["cuda_available"]) == (
        True,
        "cpu",
        False,
        False,
    )
    assert set(nulls(status)) == set(status["unavailable"])
    assert {"blas", "memory_bytes.active"} <= set(status["unavailable"])
    assert made.recommendations.performance_warning is not None


def test_utilization_is_that_of_the_gpu_we_use() -> None:
    """As the driver tells; all GPUs are listed with their own reasons."""
    gpus = (GpuReading(0, "cuda", utilization=0.1), GpuReading(1, "cuda", utilization=0.934))
    for engine in (health("cuda"), None):  # the driver tells before a model is loaded
        made = told(engine, LINUX, 32, GpuSample("nvml", gpus, selected=1)).gpu_status
        assert (made.utilization_percent, made.gpus) == (93.4, gpus)
        assert "utilization_percent" not in made.unavailable


@pytest.mark.parametrize(
    ("kind", "gpu", "reason"),
    [
        ("cpu", GpuSample("nvml", (GpuReading(0, "cuda", utilization=0.5),)), "no GPU is used"),
        ("cuda", None, "the supervisor, which reads the driver, does not respond"),
        ("cuda", GpuSample("nvml", reason="nvidia-ml-py is not installed"), "nvidia-ml-py is not installed"),
        (
            "metal",
            GpuSample("ioreg", ioreg.parse('+-o A\n "PerformanceStatistics" = {}\n')),
            "not reported by the driver",
        ),
    ],
)
def test_why_utilization_is_unknown(kind: Kind, gpu: GpuSample | None, reason: str) -> None:
    status = told(health(kind), MAC, 32, gpu).gpu_status
    assert (status.utilization_percent, status.unavailable["utilization_percent"]) == (None, reason)


def test_the_host_is_read() -> None:
    """The machine's own figures make sense."""
    host = read_host()
    assert 0 < host.memory_available_bytes <= host.memory_total_bytes
    assert host.cores >= 1
