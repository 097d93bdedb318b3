"""What `run.py bench --engines` measured of a GGUF file on this machine: which engine answers it faster. Kept in
STATE_DIR, written by that command alone; read by `selection`, in every process.

A record holds for one file, one machine and one set of versions. A service that runs keeps the engines it began with:
answers are put again to the engine they came from.
"""

from __future__ import annotations

import hashlib
import math
import os
import platform
import shlex
import shutil
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

import msgspec
from loguru import logger

from src.ipc import runtime
from src.settings import Settings

Measured = Literal["mlx", "llama.cpp"]
MEASURED: tuple[Measured, ...] = ("mlx", "llama.cpp")
_DECIDES = ("mlx", "mlx-lm", "llama-cpp-python")


class EngineRecord(msgspec.Struct, frozen=True):
    """Tokens a second by engine, each for the same numbers of streams. `day`: when it was measured."""

    streams: tuple[int, ...]
    rates: dict[Measured, tuple[float, ...]]
    day: str

    @property
    def fastest(self) -> Measured:
        """By the mean ratio over all numbers of streams."""
        return max(self.rates, key=lambda engine: sum(math.log(max(rate, 1e-9)) for rate in self.rates[engine]))

    @property
    def why(self) -> str:
        """The figures that decided, the faster engine's first."""
        order = sorted(self.rates, key=lambda engine: engine != self.fastest)
        told = (f"{engine} {' / '.join(f'{rate:.0f}' for rate in self.rates[engine])}" for engine in order)
        streams = " / ".join(map(str, self.streams))
        return f"measured faster here on {self.day}: {', '.join(told)} tokens/s at {streams} streams"


def place(file: Path, settings: Settings) -> Path:
    """Where the record of a GGUF file is kept; another file, machine or version has another."""
    stat = file.stat()
    command = settings.llama_cpp_command
    versions = (*_machine(), command, *_program(command), settings.cpu_kernels)
    told = repr((str(file.resolve()), stat.st_size, stat.st_mtime_ns, versions))
    return settings.state_path / "engines" / f"{hashlib.sha256(told.encode()).hexdigest()[:32]}.json"


def read(file: Path, settings: Settings) -> EngineRecord | None:
    """None where nothing was measured, or only since the service began that runs in this RUNTIME_DIR."""
    try:
        found = place(file, settings)
        if found.stat().st_mtime > _began(settings):
            return None
        return msgspec.json.decode(found.read_bytes(), type=EngineRecord)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        logger.warning("what was measured of {} cannot be read: {}", file.name, error)
        return None


def write(file: Path, settings: Settings, record: EngineRecord) -> Path:
    """Raises OSError."""
    kept = place(file, settings)
    kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = kept.with_suffix(f".{os.getpid()}")
    new.write_bytes(msgspec.json.encode(record))
    new.replace(kept)
    return kept


def _began(settings: Settings) -> float:
    """When the service of this RUNTIME_DIR was started; endless where none runs."""
    try:
        return runtime.lock_file(settings.runtime_path).stat().st_mtime
    except OSError:
        return math.inf


@lru_cache(1)
def _machine() -> tuple[str, ...]:
    return (platform.machine(), platform.node(), str(os.cpu_count()), *map(_version, _DECIDES))


def _program(command: str) -> tuple[str | int, ...]:
    """The server's file: another one under the same name is another version. Empty where there is none."""
    try:
        found = shutil.which(next(iter(shlex.split(command)), "llama-server"))
        if found is None:
            return ()
        stat = Path(found).stat()
    except (OSError, ValueError):
        return ()
    return found, stat.st_size, stat.st_mtime_ns


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
