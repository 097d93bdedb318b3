"""What real tools said on real machines, and where it was published."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pynvml


def _recording(name: str) -> str:
    return (Path(__file__).parent / "recordings" / f"{name}.txt").read_text(encoding="utf-8")


# `ioreg -r -d 1 -w 0 -c "IOAccelerator"`, MacBook Pro 16 (M1, 2021), macOS 12.6, idle, its first lines:
# https://github.com/exelban/stats/issues/1094
M1_PRO = _recording("ioreg_m1_pro")

# `ioreg -r -d 1 -c IOAccelerator` on an Apple M4, macOS 27, published as a test's "real output, verbatim, without
# IOReportLegend" in a Go program (found through public code search: "AGXMetalG16G_B0"); here without the lines that
# hold neither numbers nor names
M4 = _recording("ioreg_m4")

# the same on an M5 under an LLM ("captured verbatim … GPU busy", a test of a Rust program): the renderer stays at 1 %
M5_BUSY = _recording("ioreg_m5_busy")

_MB = 1 << 20

# `gpustat` (it asks NVML) on a machine with three Tesla K40c: https://pastebin.com/Ed2FNqai
# (index, °C, %, MB used, MB of all, MB of each process; it shows no pids)
K40C = [(0, 41, 0, 11, 11439, []), (1, 73, 93, 8408, 11439, [8397]), (2, 73, 99, 6755, 11439, [6744])]

# NVML's answers on eight V100 or Titan X: https://github.com/Fizzbb/KubernetesNotes, gpu/nvml-python/README.md
# (%, then pid and bytes of each process; memory was not asked)
EIGHT = [(0, []), *[(100, [(pid, 936378368)]) for pid in (4145, 4146, 4147)], *[(0, [])] * 4]


class FakeNvml:
    """`pynvml` as it would have answered there: its errors are the real ones."""

    NVMLError = pynvml.NVMLError
    NVML_TEMPERATURE_GPU = pynvml.NVML_TEMPERATURE_GPU

    def __init__(self, cards: list[SimpleNamespace]) -> None:
        self.cards = cards
        self.begun = self.ended = 0

    def nvmlInit(self) -> None:  # noqa: N802  # NVIDIA's names
        self.begun += 1

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.ended += 1

    def nvmlSystemGetDriverVersion(self) -> str:  # noqa: N802
        return "580.65.06"

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return len(self.cards)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> SimpleNamespace:  # noqa: N802
        return self.cards[index]

    def __getattr__(self, name: str) -> Any:
        """Every other question: what the card was recorded to answer, or that it is not supported."""

        def answer(card: SimpleNamespace, *_: Any) -> Any:
            if not hasattr(card, name):
                raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
            return getattr(card, name)

        return answer


def process(pid: int, used: int | None) -> SimpleNamespace:
    return SimpleNamespace(pid=pid, usedGpuMemory=used)


def k40c() -> FakeNvml:
    return FakeNvml(
        [
            SimpleNamespace(
                nvmlDeviceGetName="Tesla K40c",
                nvmlDeviceGetTemperature=celsius,
                nvmlDeviceGetUtilizationRates=SimpleNamespace(gpu=busy, memory=0),
                nvmlDeviceGetMemoryInfo=SimpleNamespace(used=used * _MB, total=total * _MB, free=(total - used) * _MB),
                nvmlDeviceGetComputeRunningProcesses=[process(1000 + at, mb * _MB) for at, mb in enumerate(processes)],
            )
            for _, celsius, busy, used, total, processes in K40C
        ]
    )


def eight() -> FakeNvml:
    return FakeNvml(
        [
            SimpleNamespace(
                nvmlDeviceGetUtilizationRates=SimpleNamespace(gpu=busy, memory=0),
                nvmlDeviceGetComputeRunningProcesses=[process(pid, used) for pid, used in running],
            )
            for busy, running in EIGHT
        ]
    )
