"""The supervisor's GPUs: errors at startup, the children's environment, the log."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from loguru import logger

from src.errors import ExitCode
from src.gpu.ioreg import parse
from src.gpu.machine import gpu_kind
from src.gpu.nvml import Nvml
from src.gpu.watch import NO_GPU, GpuWatch, Source
from src.ipc.messages.status import GpuSample, SystemStatus
from src.settings import ROOT, SettingsError, child_environment
from src.supervisor.gpus import Gpus
from src.supervisor.table import gpu_lines, render
from tests.conftest import MakeSettings
from tests.unit.gpu import recorded

NVIDIA = Nvml(recorded.k40c).read()
APPLE = GpuSample("ioreg", parse(recorded.M4))
UNTOLD = GpuSample("nvml", reason="nvidia-ml-py is not installed (make venv CUDA=13)")

Begin = Callable[..., Gpus]


@pytest.fixture
def begin(make_settings: MakeSettings) -> Iterator[Begin]:
    """The GPUs of a machine that tells of these, under these settings."""
    begun: list[Gpus] = []

    def make(sample: GpuSample, **settings: Any) -> Gpus:
        source: Source = sample.source
        watch = GpuWatch(None if sample is NO_GPU else lambda: sample, source, every_s=60)
        begun.append(Gpus(make_settings(**settings), watch))
        return begun[-1]

    yield make
    for gpus in begun:
        gpus.close()


@pytest.fixture
def said() -> Iterator[list[str]]:
    lines: list[str] = []
    sink = logger.add(lambda message: lines.append(message.record["message"]))
    yield lines
    logger.remove(sink)


def test_the_least_used_nvidia_gpu_goes_to_the_children(begin: Begin, said: list[str]) -> None:
    """In their environment, in the status, and in the log."""
    gpus = begin(NVIDIA)
    gpus.announce()
    assert gpus.environment == {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": "0"}
    assert (gpus.sample().selected, gpus.sample().why) == (0, "the least used of 3")
    assert said == [
        "GPU 0: Tesla K40c, used: the least used of 3",
        "GPU 1: Tesla K40c",
        "GPU 2: Tesla K40c",
    ]


def test_memory_bytes_of_the_selected_gpu(begin: Begin) -> None:
    """Dedicated memory of the selected GPU; None on unified memory."""
    used = NVIDIA.gpus[0].memory_total_bytes
    assert used
    assert begin(NVIDIA).memory_bytes() == used
    assert begin(NVIDIA, device_type="cpu").memory_bytes() is None
    assert begin(APPLE).memory_bytes() is None
    assert begin(NO_GPU).memory_bytes() is None


def test_cuda_visible_devices_is_kept(begin: Begin, said: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """CUDA's own numbering is not interpreted."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    gpus = begin(NVIDIA)
    gpus.announce()
    assert (gpus.environment, gpus.sample().used) == ({}, None)
    assert said[-1] == "GPU selection is left to CUDA: CUDA_VISIBLE_DEVICES=1 is set"


def test_an_apple_gpu_is_selected_without_environment(begin: Begin, said: list[str]) -> None:
    gpus = begin(APPLE)
    gpus.announce()
    assert (gpus.environment, said) == ({}, ["GPU 0: Apple M4, used: the only one"])


@pytest.mark.parametrize(
    ("sample", "settings", "words"),
    [
        (NO_GPU, {}, ["No GPU is used: expect answers 10 to 50 times slower"]),
        (NO_GPU, {"inference_engine": "fake"}, []),
        (UNTOLD, {}, ["a GPU is present but cannot be read: nvidia-ml-py is not installed"]),
    ],
)
def test_no_gpu_is_a_warning_at_the_start(
    begin: Begin, said: list[str], sample: GpuSample, settings: dict[str, Any], words: list[str]
) -> None:
    """The CPU is used unless REQUIRE_GPU is set; the fake engine needs no GPU."""
    begin(sample, **settings).announce()
    assert len(said) == len(words)
    assert all(line.startswith(word) for line, word in zip(said, words, strict=True))


@pytest.mark.parametrize(
    ("sample", "settings", "words"),
    [
        (NO_GPU, {"require_gpu": True}, "REQUIRE_GPU: true, but this machine has no GPU that MLX can use"),
        (APPLE, {"require_gpu": True, "device_type": "cpu"}, "DEVICE_TYPE=cpu uses none"),
        (NVIDIA, {"require_gpu": True, "nvidia_visible_devices": "none"}, "NVIDIA_VISIBLE_DEVICES=none"),
        (NVIDIA, {"cuda_device": 7}, "GPU 7 is not available; available: 0, 1, 2"),
        (NO_GPU, {"cuda_device": 0}, "no NVIDIA GPU found: this machine has no GPU"),
        (UNTOLD, {"cuda_device": 0}, "no NVIDIA GPU found: nvidia-ml-py is not installed"),
        (APPLE, {"cuda_device": 0}, "no NVIDIA GPU found: there is an Apple GPU"),
    ],
)
def test_an_unavailable_gpu_is_a_settings_error(
    begin: Begin, sample: GpuSample, settings: dict[str, Any], words: str
) -> None:
    """A configuration error: reported, not retried."""
    with pytest.raises(SettingsError, match=words):
        begin(sample, **settings)


def test_a_gpu_that_is_required_and_there(begin: Begin) -> None:
    assert begin(NVIDIA, require_gpu=True, cuda_device=2).environment["CUDA_VISIBLE_DEVICES"] == "2"
    assert begin(APPLE, require_gpu=True).sample().used == APPLE.gpus[0]


@pytest.mark.e2e
@pytest.mark.skipif(gpu_kind() != "none", reason="there is a GPU")
def test_the_service_does_not_start_without_the_gpu_it_must_have(tmp_path: Path) -> None:
    """At once, with the exit code of a wrong setting and one line that says why."""
    with TemporaryDirectory(prefix="stoker-", dir="/tmp") as folder:  # a socket has a short path
        environment = child_environment(REQUIRE_GPU="true", RUNTIME_DIR=folder, LOG_DIR=str(tmp_path))
        argv = [sys.executable, "run.py", "--mode", "backends"]
        done = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == ExitCode.CONFIG
    assert "REQUIRE_GPU: true, but this machine has no GPU that MLX can use" in done.stdout + done.stderr


def test_the_check_and_the_status_show_them(begin: Begin) -> None:
    """One line per GPU, or why there is none."""
    shown = gpu_lines(begin(NVIDIA).sample())
    assert shown[:2] == [
        "0: Tesla K40c, 0% busy, 12 MB of 12.0 GB in use; used: the least used of 3",
        "1: Tesla K40c, 93% busy, 8.8 GB of 12.0 GB in use",
    ]
    assert gpu_lines(begin(NO_GPU).sample()) == ["none: this machine has no GPU that MLX can use"]
    assert gpu_lines(begin(APPLE).sample()) == ["0: Apple M4, 17% busy, 431 MB in use; used: the only one"]
    status = SystemStatus("1", 7, 1.0, (), gpu=begin(APPLE).sample())
    assert render(status, lambda _: None).endswith("\n\nGPU 0: Apple M4, 17% busy, 431 MB in use; used: the only one")
