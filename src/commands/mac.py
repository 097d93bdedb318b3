"""What `run.py doctor` says of a Mac: sleep, energy mode, heat, GPU panics and restarts, memory, swap, queues, disk.

`readings` is pure and takes the texts of macOS's own commands; `observe` runs them. Nothing is changed.
"""

from __future__ import annotations

import fcntl
import os
import platform
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from src.gpu import power

_TIMEOUT_S = 5.0
_SETTING = re.compile(r"^ (\S+)\s+(\d+)(?: \(.*\))?$", re.MULTILINE)
_OURS = re.compile(r"^\s*pid \d+\(caffeinate\):.* (?:PreventSystemSleep|PreventUserIdleSystemSleep) ", re.MULTILINE)
_SWAP = re.compile(r"used = ([\d.]+)([KMGT])")
_UNITS = {"K": 1 / 1024, "M": 1.0, "G": 1024.0, "T": 1048576.0}
# the first line alone: every report lists the GPU's driver among what is loaded; in JSON a line ends with a written \n
_GPU_PANIC = re.compile(r"panic\(cpu[^)]*\):(?:(?!\\n|\n).)*(?:GPU|AGX)")
_REPORTS = Path("/Library/Logs/DiagnosticReports")
_REPORT_DAYS = 30
_PANIC_BYTES = 1 << 16  # the panic's own text comes first; the rest is every task's
_LOW_POWER = 1
_SWAP_MB = 1024
_WIRED_SHARE = 0.9
_BACKLOG = 512
_SLOW_MB_S = 500
_READ_BYTES = 256 << 20
_PIECE = 8 << 20
_READ_S = 2.0
_F_NOCACHE = 48  # of macOS's <sys/fcntl.h>; Python's module has it there alone


@dataclass(frozen=True)
class Observed:
    """What the commands said; an empty text or None is what could not be asked. `panics`,
    `gpu_restarts`: names of reports, the latest last."""

    settings: str = ""
    assertions: str = ""
    batteries: str = ""
    thermal: str = ""
    swap: str = ""
    wired_limit_mb: int | None = None
    backlog: int | None = None
    memory_mb: int = 0
    panics: tuple[str, ...] = ()
    gpu_restarts: tuple[str, ...] = ()
    read_mb_s: float | None = None


@dataclass(frozen=True)
class MacReading:
    """`advice`: what to do, where something is to be done."""

    name: str
    value: str
    advice: str | None = None

    def __str__(self) -> str:
        return f"{self.name}: {self.value}" + (f"; {self.advice}" if self.advice else "")


def readings(seen: Observed) -> list[MacReading]:
    return [*_of_sleep(seen), *_of_speed(seen), *_of_memory(seen), *_of_machine(seen)]


def _of_sleep(seen: Observed) -> Iterator[MacReading]:
    settings = _settings(seen.settings)
    if (after := settings.get("sleep")) is not None:
        held = _OURS.search(seen.assertions) is not None
        value = "never" if after == 0 else f"after {after} min" + (", prevented while caffeinate runs" if held else "")
        advice = "a sleeping Mac answers nobody: PREVENT_SLEEP=ac, or `sudo pmset -a sleep 0`"
        yield MacReading("system sleep", value, None if after == 0 or held else advice)
    if (after := settings.get("displaysleep")) is not None:
        yield MacReading("display sleep", f"after {after} min" if after else "never")


def _of_speed(seen: Observed) -> Iterator[MacReading]:
    settings = _settings(seen.settings)
    mode = settings.get("powermode", settings.get("lowpowermode"))
    if mode is not None:
        low = mode == _LOW_POWER
        advice = "tokens come slower: `sudo pmset -a powermode 0` (older macOS: lowpowermode 0)" if low else None
        yield MacReading("low power mode", "on" if low else "off", advice)
    if seen.thermal:
        hot = power.parse(seen.batteries, seen.thermal).throttled
        advice = "the machine runs slower for heat: give it air, or lower MAX_NUM_SEQS" if hot else None
        yield MacReading("thermal pressure", "throttled" if hot else "none reported by pmset", advice)


def _of_memory(seen: Observed) -> Iterator[MacReading]:
    if seen.wired_limit_mb is not None:
        most = int(seen.memory_mb * _WIRED_SHARE)
        lower = f"too little is left for macOS: `sudo sysctl iogpu.wired_limit_mb={most}` at most"
        value = f"{seen.wired_limit_mb} MB of {seen.memory_mb}" if seen.wired_limit_mb else "macOS's own"
        yield MacReading("wired limit of the GPU", value, lower if seen.wired_limit_mb > most > 0 else None)
    if (used := _SWAP.search(seen.swap)) is not None:
        used_mb = float(used[1]) * _UNITS[used[2]]
        short = "memory is short: lower MLX_MEMORY_FRACTION or MAX_CONCURRENT_MODELS, or end other programs"
        yield MacReading("swap in use", f"{used_mb:.0f} MB", short if used_mb > _SWAP_MB else None)


def _of_machine(seen: Observed) -> Iterator[MacReading]:
    update = "a fault of macOS's GPU driver under load: update macOS, then lower WIRED_LIMIT and MLX_MEMORY_FRACTION"
    yield MacReading("GPU panics", _reported(seen.panics), update if seen.panics else None)
    shorter = "a computation lasted longer than the GPU's firmware allows: lower PREFILL_STEP_SIZE and MAX_NUM_SEQS"
    yield MacReading("GPU restarts", _reported(seen.gpu_restarts), shorter if seen.gpu_restarts else None)
    if seen.backlog is not None:
        longer = f"for bursts of connections: `sudo sysctl kern.ipc.somaxconn={_BACKLOG}`"
        yield MacReading("listening queue", f"{seen.backlog} connections", longer if seen.backlog < _BACKLOG else None)
    if seen.read_mb_s is not None:
        slow = seen.read_mb_s < _SLOW_MB_S
        move = "models load slowly: keep MODELS_DIR on the internal SSD"
        yield MacReading("disk of MODELS_DIR", f"{seen.read_mb_s:.0f} MB/s", move if slow else None)


def _reported(reports: tuple[str, ...]) -> str:
    return f"{len(reports)} in {_REPORT_DAYS} days" + (f", the last {reports[-1]}" if reports else "")


def _settings(text: str) -> dict[str, int]:
    """Of `pmset -g`: what is in use now."""
    return {name: int(value) for name, value in _SETTING.findall(text.partition("Currently in use:")[2])}


def gpu_panics(folder: Path, now: float) -> tuple[str, ...]:
    """Reports of the last days whose panic names the GPU's driver. Administrators (`_analyticsusers`) can read them."""
    return tuple(path.name for path in _recent(folder, "panic-full-*", now) if _GPU_PANIC.search(_head(path)))


def gpu_restarts(folder: Path, now: float) -> tuple[str, ...]:
    """Reports of the last days on restarts of the GPU; each is named after the process that it computed for."""
    return tuple(path.name for path in _recent(folder, "gpuEvent-*.ips", now))


def _recent(folder: Path, pattern: str, now: float) -> list[Path]:
    """The latest last; macOS moves reports that it has sent to `Retired`."""
    found = [*_listed(folder, pattern), *_listed(folder / "Retired", pattern)]
    dated = sorted((path.stat().st_mtime, path) for path in found)
    return [path for at, path in dated if now - at < _REPORT_DAYS * 86400]


def read_speed(models: Path) -> float | None:
    """MB/s of a model's largest file, past the cache; None where there is none worth measuring."""
    files = [(path.stat().st_size, path) for path in _listed(models, "**/*.safetensors")]
    size, path = max(files, default=(0, models))
    if size < _PIECE:
        return None
    began, done = time.perf_counter(), 0
    with path.open("rb", buffering=0) as file:
        _uncached(file.fileno())
        while done < _READ_BYTES and time.perf_counter() - began < _READ_S and (piece := file.read(_PIECE)):
            done += len(piece)
    return done / (1 << 20) / (time.perf_counter() - began)


def observe(models: Path) -> Observed | None:
    """Ask this Mac; None elsewhere. Takes up to a few seconds."""
    if platform.system() != "Darwin":
        return None
    speed = None
    with suppress(OSError):
        speed = read_speed(models)
    return Observed(
        settings=_said("/usr/bin/pmset", "-g"),
        assertions=_said("/usr/bin/pmset", "-g", "assertions"),
        batteries=_said("/usr/bin/pmset", "-g", "batt"),
        thermal=_said("/usr/bin/pmset", "-g", "therm"),
        swap=_said("/usr/sbin/sysctl", "vm.swapusage"),
        wired_limit_mb=_number("iogpu.wired_limit_mb"),
        backlog=_number("kern.ipc.somaxconn"),
        memory_mb=psutil.virtual_memory().total >> 20,
        panics=gpu_panics(_REPORTS, time.time()),
        gpu_restarts=gpu_restarts(_REPORTS, time.time()),
        read_mb_s=speed,
    )


def _uncached(descriptor: int) -> None:
    """As a first load reads it: macOS reads around its cache, Linux drops what it holds."""
    if platform.system() == "Darwin":
        fcntl.fcntl(descriptor, _F_NOCACHE, 1)
    else:
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)


def _listed(folder: Path, pattern: str) -> list[Path]:
    try:
        return [path for path in folder.glob(pattern) if path.is_file()]
    except OSError:
        return []


def _head(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_PANIC_BYTES).decode(errors="replace")
    except OSError:
        return ""


def _number(name: str) -> int | None:
    said = _said("/usr/sbin/sysctl", "-n", name).strip()
    return int(said) if said.isdigit() else None


def _said(*argv: str) -> str:
    """Empty when it does not answer."""
    try:
        return subprocess.run(argv, capture_output=True, text=True, timeout=_TIMEOUT_S, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ""
