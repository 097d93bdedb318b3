"""The supervisor's view of GPUs: selects one at startup, and samples all of them for the status."""

from __future__ import annotations

import msgspec
from loguru import logger

from src.gpu import watch as gpu_watch
from src.gpu.advice import no_gpu_warning
from src.gpu.machine import read_host
from src.gpu.selection import GpuSelection, select
from src.gpu.watch import GpuWatch
from src.ipc.messages.status import GpuSample
from src.settings import Settings, SettingsError, cuda_visible_devices

_FIRST_S = 5.0  # NVML needs a second or two when nothing else holds the driver


class Gpus:
    """One per supervisor. `environment`: added to the environment of engine and OCR."""

    def __init__(self, settings: Settings, watch: GpuWatch | None = None) -> None:
        self._needed = settings.inference_engine != "fake"
        self._on_cpu = settings.device_type == "cpu"
        self._watch = watch or gpu_watch.here()
        self._watch.start(_FIRST_S)
        try:
            self.selection = _decide(settings, self._watch.latest())
        except SettingsError:
            self._watch.stop()
            raise

    @property
    def environment(self) -> dict[str, str]:
        return self.selection.environment

    def sample(self) -> GpuSample:
        """The latest reading, with the selected GPU."""
        return msgspec.structs.replace(self._watch.latest(), selected=self.selection.index, why=self.selection.why)

    def memory_bytes(self) -> int | None:
        """Dedicated memory of the selected GPU, where known."""
        used = self.sample().used
        own = self.sample().source == "nvml" and not self._on_cpu
        return used.memory_total_bytes if own and used is not None else None

    def utilization(self) -> float | None:
        """Of the selected GPU, by all processes; None where there is no reading."""
        used = self.sample().used
        return used.utilization if used is not None else None

    def close(self) -> None:
        """Stop polling the drivers."""
        self._watch.stop()

    def announce(self) -> None:
        """Log the GPUs, or a warning when there is none."""
        sample = self.sample()
        for gpu in sample.gpus:
            logger.info("GPU {}: {}{}", gpu.index, gpu.name, f", used: {sample.why}" if gpu is sample.used else "")
        if sample.gpus and sample.used is None:
            logger.info("GPU selection is left to CUDA: {}", sample.why)
        if sample.source == "none" and self._needed:
            logger.warning("{}", no_gpu_warning(read_host()))
        elif not sample.gpus and sample.source != "none":
            logger.warning("a GPU is present but cannot be read: {}", sample.reason)


def _decide(settings: Settings, sample: GpuSample) -> GpuSelection:
    """Raises SettingsError when the settings ask for a GPU that is not available."""
    if settings.require_gpu and settings.device_type == "cpu":
        raise SettingsError(["REQUIRE_GPU: true, but DEVICE_TYPE=cpu uses none"])
    if settings.cuda_device != "auto" and not (sample.source == "nvml" and sample.gpus):
        raise SettingsError([f"CUDA_DEVICE: no NVIDIA GPU found: {sample.reason or 'there is an Apple GPU'}"])
    if sample.source == "ioreg":
        selection = GpuSelection(0, "the only one")
    else:
        selection = select(sample.gpus, settings.cuda_device, settings.nvidia_visible_devices, cuda_visible_devices())
    if settings.require_gpu and (sample.source == "none" or selection.environment.get("CUDA_VISIBLE_DEVICES") == ""):
        raise SettingsError([f"REQUIRE_GPU: true, but {sample.reason or selection.why}"])
    return selection
