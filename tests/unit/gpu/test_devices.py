"""What GPUs tell: parsers on recorded outputs, the watch over drivers that hang, and which NVIDIA GPU is chosen."""

from __future__ import annotations

import subprocess
import threading
from typing import Any

import pynvml
import pytest

from src.gpu import ioreg, machine, watch
from src.gpu.nvml import Nvml
from src.gpu.selection import select
from src.ipc.messages.status import GpuProcess, GpuReading, GpuSample
from src.settings import SettingsError
from tests.unit.clock import Clock
from tests.unit.gpu import recorded

MB = 1 << 20

# ---- ioreg


@pytest.mark.parametrize(
    ("text", "name", "utilization", "used", "allocated"),
    [
        (recorded.M1_PRO, "AGXAcceleratorG13X", 0.02, 340983808, 1214005248),
        (recorded.M4, "Apple M4", 0.17, 430571520, 4597121024),
        (recorded.M5_BUSY, "AGXAcceleratorG17X", 0.99, 28367667200, 31368167424),
    ],
)
def test_an_apple_gpu_as_ioreg_printed_it(text: str, name: str, utilization: float, used: int, allocated: int) -> None:
    """The device's utilisation, not the renderer's, which an LLM leaves at 1 %; each null has a reason."""
    (gpu,) = ioreg.parse(text)
    assert (gpu.kind, gpu.name, gpu.utilization) == ("metal", name, utilization)
    assert (gpu.memory_used_bytes, gpu.memory_allocated_bytes) == (used, allocated)
    assert nulls(gpu) == set(gpu.unavailable)


def nulls(gpu: GpuReading) -> set[str]:
    return {field for field in gpu.__struct_fields__ if getattr(gpu, field) is None}


@pytest.mark.parametrize(
    ("statistics", "utilization", "reason"),
    [
        (
            '"Device Utilization %"=137',
            None,
            "the driver reports 137 %",
        ),  # seen: https://github.com/exelban/stats/issues/649
        ('"Renderer Utilization %"=3', None, "not reported by the driver"),
        ('"Device Utilization %"=0', 0.0, None),
    ],
)
def test_no_utilization_is_invented(statistics: str, utilization: float | None, reason: str | None) -> None:
    """Idle is 0, unknown is null."""
    (gpu,) = ioreg.parse(
        f'+-o Intel  <class Intel>\n    {{\n      "PerformanceStatistics" = {{{statistics}}}\n    }}\n'
    )
    assert (gpu.utilization, gpu.unavailable.get("utilization")) == (utilization, reason)
    assert {"memory_used_bytes", "memory_allocated_bytes"} <= set(gpu.unavailable)


def test_accelerators_are_told_apart() -> None:
    """And what keeps no statistics is none; a count below zero is no memory."""
    none = '+-o AGXBridge  <class AGXBridge>\n    {\n      "IOClass" = "AGXBridge"\n    }\n'
    wrapped = recorded.M4.replace("430571520", "18446744071562067968")
    first, second = ioreg.parse(recorded.M1_PRO + none + wrapped)
    assert (first.index, second.index, second.name) == (0, 1, "Apple M4")
    assert second.memory_used_bytes is None
    assert ioreg.parse("") == ()


@pytest.mark.parametrize(
    "error", [FileNotFoundError(), subprocess.TimeoutExpired("ioreg", 2), subprocess.CalledProcessError(1, "ioreg")]
)
def test_an_ioreg_that_fails_is_a_reason(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*_: Any, **options: Any) -> None:
        assert options["timeout"] <= 2
        raise error

    monkeypatch.setattr(subprocess, "run", fail)
    assert ioreg.read() == GpuSample("ioreg", reason=f"ioreg failed: {type(error).__name__}")


# ---- NVML


def test_nvidia_gpus_as_nvml_told_of_them() -> None:
    """Utilisation, memory, names, processes; what a card does not support is null, in NVIDIA's words."""
    library = recorded.k40c()
    nvml = Nvml(lambda: library)
    sample = nvml.read()
    assert (nvml.read(), library.begun) == (sample, 1)
    assert [gpu.utilization for gpu in sample.gpus] == [0.0, 0.93, 0.99]
    busy = sample.gpus[1]
    assert (busy.name, busy.temperature_c) == ("Tesla K40c", 73)
    assert (busy.memory_used_bytes, busy.memory_total_bytes) == (8408 * MB, 11439 * MB)
    assert busy.processes == (GpuProcess(1000, 8397 * MB),)
    assert busy.unavailable["power_w"] == "Not Supported"
    assert all(nulls(gpu) == set(gpu.unavailable) for gpu in sample.gpus)


def test_a_card_that_tells_little() -> None:
    assert [(gpu.utilization, gpu.memory_total_bytes) for gpu in Nvml(recorded.eight).read().gpus[:2]] == [
        (0.0, None),
        (1.0, None),
    ]


def test_without_a_driver_there_is_a_reason() -> None:
    """The real library, on a machine without one."""
    sample = Nvml().read()
    assert sample.gpus == ()
    assert sample.reason == "NVML failed: NVML Shared Library Not Found"


def test_without_the_package_there_is_a_reason() -> None:
    def load() -> Any:
        raise ImportError

    assert "CUDA=13" in (Nvml(load).read().reason or "")


def test_a_driver_that_comes_back_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """After an error NVML is begun anew."""
    library = recorded.k40c()
    nvml = Nvml(lambda: library)
    nvml.read()
    with monkeypatch.context() as patch:
        patch.setattr(library, "nvmlDeviceGetCount", lost)
        assert "NVML failed" in (nvml.read().reason or "")
    assert (len(nvml.read().gpus), library.begun, library.ended) == (3, 2, 1)


def lost() -> int:
    raise pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST)


# ---- the watch


def test_a_driver_that_hangs_holds_up_nobody() -> None:
    """Its last answer is given with its age, and after a while counts as none."""
    clock, hung, asked = Clock(), threading.Event(), threading.Event()
    answers = [GpuSample("nvml", (GpuReading(0, "cuda"),))]

    def read() -> GpuSample:
        if answers:
            return answers.pop()
        asked.set()
        hung.wait(20)
        return watch.NO_GPU

    gpus = watch.GpuWatch(read, "nvml", clock, every_s=0.001)
    gpus.start(wait_s=10)
    assert asked.wait(10)
    clock.now += 5
    assert (len(gpus.latest().gpus), gpus.latest().age_s) == (1, 5)
    clock.now += 20
    assert gpus.latest() == GpuSample("nvml", reason="no reading from the GPU driver for 25.0 s", age_s=25.0)
    gpus.stop()
    hung.set()


def test_one_that_never_answers_costs_the_start_a_moment() -> None:
    hung = threading.Event()

    def read() -> GpuSample:
        hung.wait(20)
        return watch.NO_GPU

    gpus = watch.GpuWatch(read)
    gpus.start(wait_s=0.01)
    assert "no reading from the GPU driver yet" in (gpus.latest().reason or "")
    gpus.stop()
    hung.set()


def test_without_a_gpu_nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "gpu_kind", lambda: "none")
    gpus = watch.here()
    gpus.start(wait_s=10)
    assert gpus.latest() == watch.NO_GPU


@pytest.mark.parametrize(("platform", "arch", "kind"), [("darwin", "arm64", "metal"), ("darwin", "x86_64", "none")])
def test_which_machine_has_metal(monkeypatch: pytest.MonkeyPatch, platform: str, arch: str, kind: str) -> None:
    monkeypatch.setattr("sys.platform", platform)
    monkeypatch.setattr("platform.machine", lambda: arch)
    monkeypatch.setattr(machine, "_NVIDIA", ())
    assert machine.gpu_kind() == kind


# ---- which GPU


def cards(count: int) -> tuple[GpuReading, ...]:
    return tuple(
        GpuReading(at, "cuda", uuid=f"GPU-{at}", memory_total_bytes=80, utilization=0.0) for at in range(count)
    )


def test_the_least_used_gpu_is_taken() -> None:
    """As recorded: the idle one of three, and the first idle of eight whose first process holds nothing."""
    three, all_eight = Nvml(recorded.k40c).read().gpus, Nvml(recorded.eight).read().gpus
    assert select(three, "auto", "", None).index == 0
    chosen = select(three[1:], "auto", "", None)
    assert (chosen.index, chosen.why) == (2, "the least used of 2")  # more memory is free there
    assert chosen.environment == {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": "2"}
    assert select(all_eight, "auto", "", None).index == 0
    assert select(all_eight[1:], "auto", "", None).index == 4


@pytest.mark.parametrize(
    ("count", "visible", "index"),
    [
        (4, "2,3", 2),
        (4, "GPU-3", 3),
        (4, "all", 0),
        (4, " 1 , GPU-2 ", 1),
        (2, "5,7", 0),  # in a container that was given two, which count from 0 there
        (1, "GPU-elsewhere", 0),
    ],
)
def test_nvidia_visible_devices_is_honoured(count: int, visible: str, index: int) -> None:
    assert select(cards(count), "auto", visible, None).index == index


@pytest.mark.parametrize("visible", ["none", "void"])
def test_no_gpu_may_be_used(visible: str) -> None:
    assert select(cards(2), "auto", visible, None).environment == {"CUDA_VISIBLE_DEVICES": ""}


def test_the_operators_word_counts() -> None:
    """CUDA_DEVICE before all; a CUDA_VISIBLE_DEVICES that is there already before our choice."""
    assert select(cards(3), 1, "", "0").environment["CUDA_VISIBLE_DEVICES"] == "1"
    preset = select(cards(3), "auto", "", "2")
    assert (preset.index, preset.environment, preset.why) == (None, {}, "CUDA_VISIBLE_DEVICES=2 is set")
    assert select((), "auto", "", None).environment == {}


@pytest.mark.parametrize(
    ("count", "wanted", "visible", "words"),
    [
        (2, 5, "", "GPU 5 is not available; available: 0, 1"),
        (4, 0, "2,3", "available: 2, 3"),
        (0, 0, "", "available: none"),
        (4, "auto", "9", "names a GPU that does not exist"),
    ],
)
def test_a_gpu_that_is_not_there_is_refused(count: int, wanted: Any, visible: str, words: str) -> None:
    """Never silently another one."""
    with pytest.raises(SettingsError, match=words):
        select(cards(count), wanted, visible, None)
