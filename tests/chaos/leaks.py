"""What a running service holds: processes, sockets, open files, greenlets, memory. Before the storm, and after."""

from __future__ import annotations

import re
import threading
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field

import psutil

from tests.running import Running
from tests.soak import slope

_MIB = 1 << 20
_SAMPLE_S = 2.0
# caches that fill, log files and heartbeats that are just open; what leaks in a storm is hundreds
_FILES_SLACK = 12
_GREENLETS_SLACK = 4
_MEMORY_SLACK_MIB = 60


@dataclass(frozen=True)
class Holdings:
    """`processes` by what they are, `sockets` by name, `files` of the process that has the most, memory in MiB."""

    processes: Counter[str]
    sockets: tuple[str, ...]
    files: int
    greenlets: int
    memory_mib: int

    def broken(self, before: Holdings) -> list[str]:
        """What it holds beyond what it held before."""
        found = []
        if self.processes - before.processes:
            found.append(f"processes: {dict(self.processes)}, before: {dict(before.processes)}")
        if self.sockets != before.sockets:
            found.append(f"sockets: {self.sockets}, before: {before.sockets}")
        limits = {"files": _FILES_SLACK, "greenlets": _GREENLETS_SLACK, "memory_mib": _MEMORY_SLACK_MIB}
        for name, slack in limits.items():
            then, now = getattr(before, name), getattr(self, name)
            if now > then + slack:
                found.append(f"{name}: {now}, before: {then}")
        return found


def holdings(running: Running) -> Holdings:
    files, memory, kinds = 0, 0, Counter[str]()
    for process in _everything(running):
        with suppress(psutil.Error):
            kinds[_kind(process)] += 1
            files, memory = max(files, process.num_fds()), memory + process.memory_info().rss
    sockets = sorted(path.name for path in (running.folder / "run").glob("*.sock"))
    found = re.search(rb"^stoker_greenlets (\d+)", running.get("/metrics")[1], re.MULTILINE)
    return Holdings(kinds, tuple(sockets), files, int(found[1]) if found else -1, memory // _MIB)


def _everything(running: Running) -> list[psutil.Process]:
    """Its processes, those too that have lost their parents: all were started with its runtime folder."""
    mine = str(running.folder / "run")
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get("RUNTIME_DIR") == mine:
                found.append(process)
    return found


def _kind(process: psutil.Process) -> str:
    line = " ".join(process.cmdline())
    marks = ("src.engine.main", "src.ocr.main", "gunicorn", "resource_tracker", "spawn_main", "run.py")
    return next((mark for mark in marks if mark in line), line[-40:])


@dataclass
class Memory:
    """The supervisor's memory over time, by its lives: a leak is a slope within one."""

    points: dict[int, list[tuple[float, int]]] = field(default_factory=dict)
    at: float = 0.0

    def watch(self, running: Running, over: threading.Event) -> None:
        while not over.wait(_SAMPLE_S):
            self.at += _SAMPLE_S
            with suppress(psutil.Error):
                top = psutil.Process(running.process.pid)
                self.points.setdefault(top.pid, []).append((self.at, top.memory_info().rss))

    @property
    def longest(self) -> list[tuple[float, int]]:
        """The supervisor's longest life."""
        return max(self.points.values(), key=len, default=[])

    @property
    def slope_mib_h(self) -> float:
        return slope(self.longest) * 3600 / _MIB
