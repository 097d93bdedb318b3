"""NVIDIA GPUs, from NVML through `nvidia-ml-py` (optional: it comes with `make venv CUDA=13`). Called by `GpuWatch`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from src.installation import mlx_command
from src.ipc.messages.status import GpuProcess, GpuReading, GpuSample


class Nvml:
    """NVIDIA's library. `load` imports it; tests pass their own."""

    def __init__(self, load: Callable[[], Any] | None = None) -> None:
        self._load = load or _pynvml
        self._initialized = False

    def read(self) -> GpuSample:
        """Read all GPUs. After an error the library is initialized again, so that a restarted driver is found."""
        try:
            library = self._load()
        except ImportError:
            return GpuSample("nvml", reason=f"nvidia-ml-py is not installed ({mlx_command('cuda13')})")
        try:
            if not self._initialized:
                library.nvmlInit()
                self._initialized = True
            gpus = tuple(_reading(library, index) for index in range(library.nvmlDeviceGetCount()))
            driver = library.nvmlSystemGetDriverVersion()
        except library.NVMLError as error:
            self._end(library)
            return GpuSample("nvml", reason=f"NVML failed: {error}")
        return GpuSample("nvml", gpus, None if gpus else "NVML lists no GPU", driver=driver)

    def _end(self, library: Any) -> None:
        """Shut NVML down: it is reference-counted."""
        if self._initialized:
            self._initialized = False
            with suppress(library.NVMLError):
                library.nvmlShutdown()


def _pynvml() -> Any:
    import pynvml  # noqa: PLC0415  # optional

    return pynvml


def _reading(library: Any, index: int) -> GpuReading:
    handle = library.nvmlDeviceGetHandleByIndex(index)
    unavailable = {"memory_allocated_bytes": "not reported separately by CUDA"}

    def ask(field: str, question: Callable[..., Any], *more: Any) -> Any:
        """None, with a reason, for what this GPU does not report: cards, drivers and containers differ."""
        try:
            return question(handle, *more)
        except library.NVMLError as error:
            unavailable[field] = str(error)
            return None

    rates = ask("utilization", library.nvmlDeviceGetUtilizationRates)
    memory = ask("memory_used_bytes", library.nvmlDeviceGetMemoryInfo)
    power = ask("power_w", library.nvmlDeviceGetPowerUsage)
    running = ask("processes", library.nvmlDeviceGetComputeRunningProcesses)
    if memory is None:
        unavailable["memory_total_bytes"] = unavailable["memory_used_bytes"]
    return GpuReading(
        index,
        "cuda",
        name=ask("name", library.nvmlDeviceGetName),
        uuid=ask("uuid", library.nvmlDeviceGetUUID),
        utilization=None if rates is None else rates.gpu / 100,
        memory_used_bytes=None if memory is None else memory.used,
        memory_total_bytes=None if memory is None else memory.total,
        temperature_c=ask("temperature_c", library.nvmlDeviceGetTemperature, library.NVML_TEMPERATURE_GPU),
        power_w=None if power is None else power / 1000,
        processes=None if running is None else tuple(GpuProcess(one.pid, one.usedGpuMemory) for one in running),
        unavailable=unavailable,
    )
