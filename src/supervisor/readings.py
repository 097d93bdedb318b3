"""The records of `system_metrics.log`, one every 30 s: the machine, each process, the engines' load and throughput.

Sampled by the supervisor's `main.py`; rates are computed between two samples on this process's clock.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import msgspec
import psutil

from src.ipc.messages.status import ChildStatus, DeviceReading, GpuReading, GpuSample


class HostReading(msgspec.Struct, frozen=True):
    """The machine. Percentages of all processors since the last reading; bytes."""

    cpu_percent: float
    load_1min: float
    memory_used_percent: float
    memory_available_bytes: int
    swap_used_bytes: int
    disk_free_bytes: int | None


class ProcessReading(msgspec.Struct, frozen=True, omit_defaults=True):
    """One supervised process and its descendants. `tokens_per_s`: since the last reading."""

    name: str
    state: str
    pid: int | None = None
    restarts: int = 0
    cpu_percent: float | None = None
    rss_bytes: int | None = None
    open_files: int | None = None
    running: int | None = None
    waiting: int | None = None
    tokens_per_s: float | None = None
    model: str | None = None
    mlx_active_bytes: int | None = None
    mlx_peak_bytes: int | None = None
    device: DeviceReading | None = None
    ocr_busy: int | None = None
    ocr_workers: int | None = None
    ocr_pages: int | None = None


class SystemReading(msgspec.Struct, frozen=True):
    """One line of the log."""

    host: HostReading
    supervisor_rss_bytes: int
    queue: int
    tokens_per_s: float
    processes: tuple[ProcessReading, ...]
    gpus: tuple[GpuReading, ...] = ()


class Sampler:
    """Keeps the previous sample, which rates are computed from."""

    def __init__(self, disk: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._disk = disk
        self._clock = clock
        self._sampled_at = clock()
        self._tokens: dict[tuple[str, int], int] = {}
        self._processes: dict[int, psutil.Process] = {}
        psutil.cpu_percent()  # the first call only starts the measurement

    def sample(self, children: Iterable[ChildStatus], gpu: GpuSample) -> SystemReading:
        now = self._clock()
        seconds, self._sampled_at = now - self._sampled_at, now
        readings = tuple(self._process(child, seconds) for child in children)
        alive = {reading.pid for reading in readings}
        self._tokens = {key: count for key, count in self._tokens.items() if key[1] in alive}
        return SystemReading(
            self._host(),
            psutil.Process().memory_info().rss,
            sum(reading.waiting or 0 for reading in readings),
            round(sum(reading.tokens_per_s or 0 for reading in readings), 1),
            readings,
            gpu.gpus,
        )

    def _process(self, child: ChildStatus, seconds: float) -> ProcessReading:
        health = child.health
        load, ocr = (health.load, health.ocr) if health is not None else (None, None)
        cpu, rss, files = self._usage(child.pid)
        return ProcessReading(
            name=child.name,
            state=child.state,
            pid=child.pid,
            restarts=sum(child.restarts.values()),
            cpu_percent=cpu,
            rss_bytes=rss,
            open_files=files,
            running=load.running if load else None,
            waiting=load.waiting if load else ocr.waiting if ocr else None,
            tokens_per_s=self._throughput(child, load.tokens, seconds) if load else None,
            model=health.model.name if health and health.model else None,
            mlx_active_bytes=health.memory.mlx_active_bytes if health else None,
            mlx_peak_bytes=health.memory.mlx_peak_bytes if health else None,
            device=health.device if health else None,
            ocr_busy=ocr.busy if ocr else None,
            ocr_workers=ocr.workers if ocr else None,
            ocr_pages=ocr.pages if ocr else None,
        )

    def _throughput(self, child: ChildStatus, tokens: int, seconds: float) -> float:
        """Keyed by name and pid: a restarted process counts from 0."""
        key = (child.name, child.pid or 0)
        made = tokens - self._tokens.get(key, 0)
        self._tokens[key] = tokens
        return round(max(0, made) / seconds, 1) if seconds > 0 else 0.0

    def _usage(self, pid: int | None) -> tuple[float | None, int | None, int | None]:
        """CPU and memory of a process tree, open files of its root; None where unavailable."""
        if pid is None:
            return None, None, None
        cpu, rss, files = 0.0, 0, None
        with suppress(psutil.Error):
            tree = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
            files = tree[0].num_fds()
            for process in tree:
                with suppress(psutil.Error):
                    known = self._processes.setdefault(process.pid, process)
                    cpu, rss = cpu + known.cpu_percent(), rss + int(known.memory_info().rss)
        self._processes = {pid: process for pid, process in self._processes.items() if process.is_running()}
        return round(cpu, 1), rss, files

    def _host(self) -> HostReading:
        memory, disk = psutil.virtual_memory(), None
        with suppress(OSError):
            disk = shutil.disk_usage(self._disk).free
        return HostReading(
            psutil.cpu_percent(),
            round(psutil.getloadavg()[0], 2),
            memory.percent,
            memory.available,
            psutil.swap_memory().used,
            disk,
        )
