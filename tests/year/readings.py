"""What a year is judged by: counters that never go back, and memory and disk that stay where they are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
from prometheus_client.parser import text_string_to_metric_families

from tests.soak import slope
from tests.year.operator import Operator

_MIB = 1 << 20
_SETTLING = 0.1
Series = tuple[str, tuple[tuple[str, str], ...]]


class Counters:
    """Counters and histograms of /metrics, but `process_`: those are of one web process. `broken`: which went back."""

    def __init__(self) -> None:
        self._seen: dict[Series, float] = {}
        self.broken: dict[Series, str] = {}

    def read(self, text: str) -> None:
        now = dict(_counted(text))
        for series, before in self._seen.items():
            after = now.get(series)
            if after is None or after < before:
                self.broken.setdefault(series, f"{before:g} to {'nothing' if after is None else f'{after:g}'}")
        self._seen |= now

    @property
    def series(self) -> int:
        return len(self._seen)


def _counted(text: str) -> Iterator[tuple[Series, float]]:
    for family in text_string_to_metric_families(text):
        if family.type in ("counter", "histogram"):
            for sample in family.samples:
                if not sample.name.startswith("process_") and not sample.name.endswith("_created"):
                    yield (sample.name, tuple(sorted(sample.labels.items()))), sample.value


class Levels:
    """Bytes by name over the days; growth is the slope once the first tenth has filled caches and folders."""

    def __init__(self) -> None:
        self.points: dict[str, list[tuple[float, int]]] = {}

    def read(self, day: int, operator: Operator) -> None:
        folders = {name: operator.running.folder / name for name in ("logs", "run", "state")}
        sizes = {f"disk: {name}": _size(path) for name, path in (folders | {"models": operator.models}).items()}
        for name, size in (*_memory(operator), *sizes.items()):
            self.points.setdefault(name, []).append((day, size))

    def rows(self) -> Iterator[tuple[str, float, float, float]]:
        """Name, MiB after the first tenth, MiB at the end, growth in MiB by the slope between them."""
        for name, points in sorted(self.points.items()):
            settled = points[int(len(points) * _SETTLING) :]
            days = settled[-1][0] - settled[0][0]
            yield name, settled[0][1] / _MIB, settled[-1][1] / _MIB, slope(points, _SETTLING) * days / _MIB


def _memory(operator: Operator) -> Iterator[tuple[str, int]]:
    """The supervisor, gunicorn's master, its newest worker, the OCR broker."""
    master = psutil.Process(operator.pid("web"))
    worker = max(master.children(), key=psutil.Process.create_time)
    broker, supervisor = psutil.Process(operator.pid("ocr")), psutil.Process(operator.running.process.pid)
    named = {"supervisor": supervisor, "web master": master, "web worker": worker, "OCR broker": broker}
    for name, process in named.items():
        yield f"memory: {name}", process.memory_info().rss


def _size(folder: Path) -> int:
    """Bytes on disk; what has two names counts once."""
    found: dict[int, int] = {}
    for path, _, files in os.walk(folder):
        for name in files:
            with suppress(OSError):
                info = (Path(path) / name).lstat()
                found[info.st_ino] = info.st_blocks * 512
    return sum(found.values())
