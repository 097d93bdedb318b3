"""The engine standby: a process that has imported everything and waits for a model's name (ENGINE_STANDBY).

In the supervisor's event loop: `StandbyLauncher` gives it to the next engine that starts, `StandbyKeeper` has the next
one made, supervised as any child.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from loguru import logger

from src import selection
from src.ipc.framing import encode
from src.ipc.messages.control import ServeModel
from src.settings import Settings
from src.supervisor.children import Children
from src.supervisor.launcher import Probe, Process, ProcessLauncher
from src.supervisor.specs import ENGINE, STANDBY, ChildSpec, engine_arguments, engine_standby

_REFILL_S = 2.0  # after an engine's start: its requests are computed again first
_LEAST_FREE = 1 << 30  # bytes; below it `auto` ends the standby, and begins one above twice as much

_log = logger.bind(stream="model")


class StandbyLauncher:
    """A `ProcessLauncher` that makes an engine of the standby, if there is one."""

    def __init__(self, launcher: ProcessLauncher) -> None:
        self._launcher = launcher
        self.take: Callable[[], Process | None] = lambda: None

    def spawn(self, spec: ChildSpec) -> Process:
        arguments = engine_arguments(spec)
        standby = self.take() if arguments is not None else None
        if arguments is None or standby is None:
            return self._launcher.spawn(spec)
        if not _told(standby, arguments):
            standby.kill_group()
            return self._launcher.spawn(spec)
        _log.info("{} starts in the standby process (pid {})", spec.name, standby.pid)
        return standby

    def probe(self, spec: ChildSpec, pid: int) -> Probe:
        return self._launcher.probe(spec, pid)

    def take_over(self, spec: ChildSpec) -> None:
        self._launcher.take_over(spec)

    def free_bytes(self) -> int:
        return self._launcher.free_bytes()


def _told(standby: Process, arguments: tuple[str, ...]) -> bool:
    """False where it has just exited, or was stopped since its last heartbeat: an engine must not wait for it."""
    activity = standby.activity()
    if activity is not None and activity.stopped:
        return False
    try:
        standby.write(encode(ServeModel(arguments)))
    except OSError:
        return False
    return True


class StandbyKeeper:
    """Keeps one standby among the children while it is wanted; `check` is called every half second."""

    def __init__(
        self,
        children: Children,
        settings: Settings,
        directory: Path,
        free_bytes: Callable[[], int],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._children = children
        self._spec = engine_standby(settings, directory)
        self._free_bytes = free_bytes
        self._clock = clock
        self._auto = settings.engine_standby == "auto"
        self._wanted = settings.engine_standby == "true" or (self._auto and _imports_much(settings))
        self._engine_started_at = float("-inf")
        self._removal: asyncio.Task[None] | None = None

    def take(self) -> Process | None:
        """The standby's process, which becomes an engine's."""
        if (process := self._children.release(STANDBY)) is not None:
            self._engine_started_at = self._clock()
        return process

    def check(self) -> None:
        """Start or end the standby, if that is due."""
        if not self._wanted or (self._removal is not None and not self._removal.done()):
            return
        now, there = self._clock(), self._children.status_of(STANDBY) is not None
        if self._children.kind_in_state(ENGINE, "starting"):
            self._engine_started_at = now
        enough = not self._auto or self._free_bytes() >= (_LEAST_FREE if there else 2 * _LEAST_FREE)
        if there and not enough:
            _log.warning("less than {} MiB of memory are free: no engine standby (ENGINE_STANDBY)", _LEAST_FREE >> 20)
            self._removal = asyncio.get_running_loop().create_task(self._children.remove(STANDBY))
        elif not there and enough and now - self._engine_started_at >= _REFILL_S:
            self._children.add(self._spec)


def _imports_much(settings: Settings) -> bool:
    """Whether the engine of DEFAULT_MODEL spends its start importing: a server upstream and the fake engine do not."""
    return selection.select(settings.default_model, settings).engine == "mlx"
