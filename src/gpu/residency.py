"""Which models of this process are on the device, and who moves them when: the library behind `src.gpu`.

Thread-safe: bookkeeping is under one lock, which is never held while weights move. A model moves for one caller at a
time; who asks for it meanwhile waits, and gets that caller's result, or its error. The service's engine and OCR workers
use it with the monitor off, on the thread that owns their model; other programs may let the monitor do it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TypedDict, TypeVar, cast

from loguru import logger

from src.gpu import frameworks
from src.gpu.frameworks import DeviceMemory, Movable
from src.gpu.lifecycle import IdleTimes, Location, idle_move

T = TypeVar("T")

_TO_CPU_S = 600.0
_LOAD_S = 600.0
_IN_USE_S = 30.0
_MONITOR_S = 1.0


class ModelBusy(TimeoutError):
    """A model was still in use, or on its way, when the time to wait for it was over."""


class Residence(TypedDict):
    """One model. Its `gpu_memory` is the process's, by device: frameworks count no model's own share."""

    location: Location
    idle_time_seconds: float
    idle_timeout_seconds: float
    monitor_running: bool
    gpu_memory: dict[str, DeviceMemory]


@dataclass
class _Slot:
    """One model's place. While `moving`, only the thread that set it touches `model`."""

    name: str
    times: IdleTimes
    pinned: bool
    last_used: float
    model: object | None = None
    mover: Movable | None = None
    location: Location = "unloaded"
    users: int = 0
    moving: bool = False
    failure: Exception | None = None  # why the last load or return failed, for those who waited for it


class ModelManager:
    """Loads models when they are asked for, moves idle ones away. `idle_timeout` in seconds; 0 is never."""

    def __init__(
        self, idle_timeout: float = _TO_CPU_S, unload_timeout: float = 0.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._default = IdleTimes(_seconds(idle_timeout), _seconds(unload_timeout))
        self._clock = clock
        self._slots: dict[str, _Slot] = {}
        self._changed = threading.Condition()
        self._monitor: threading.Thread | None = None
        self._stop = threading.Event()

    def register_model(
        self,
        model_name: str,
        *,
        idle_timeout: float | None = None,
        unload_timeout: float | None = None,
        pinned: bool = False,
    ) -> None:
        """Make a model known before its first use, or give it idle times of its own; nothing is loaded."""
        with self._changed:
            slot = self._slot(model_name)
            to_cpu = slot.times.to_cpu_s if idle_timeout is None else _seconds(idle_timeout)
            to_unloaded = slot.times.to_unloaded_s if unload_timeout is None else _seconds(unload_timeout)
            slot.times, slot.pinned = IdleTimes(to_cpu, to_unloaded), pinned

    def get_model(self, load_func: Callable[[], T], model_name: str) -> T:
        """The model, on its device: loaded by `load_func`, or brought back.

        It may be moved again as soon as this returns; `use` keeps it where it is. Raises what `load_func` raises.
        """
        return cast("T", self._bring(load_func, model_name, holds=0))

    @contextmanager
    def use(self, load_func: Callable[[], T], model_name: str) -> Iterator[T]:
        """The model, on its device for as long as the block runs: nobody can move it meanwhile."""
        model = self._bring(load_func, model_name, holds=1)
        try:
            yield cast("T", model)
        finally:
            with self._changed:
                slot = self._slots[model_name]
                slot.users, slot.last_used = slot.users - 1, self._clock()
                self._changed.notify_all()

    def force_offload(self, model_name: str | None = None, *, wait_s: float = _IN_USE_S) -> list[str]:
        """Move one model, or all, off the device now; the names of those that moved.

        What can only be kept or released is kept. Raises KeyError for a stranger, `ModelBusy` for models still in use
        after `wait_s`, when the others have moved.
        """
        return self._send_away(model_name, "cpu", wait_s)

    def force_release(self, model_name: str | None = None, *, wait_s: float = _IN_USE_S) -> list[str]:
        """Let go of one model, or all: memory is free once the caller lets go too. Returns and raises as above."""
        return self._send_away(model_name, "unloaded", wait_s)

    def update_all_timeout(self, seconds: float) -> None:
        """Idle seconds after which any model, also one yet to come, leaves the device; 0 is never."""
        with self._changed:
            self._default = replace(self._default, to_cpu_s=_seconds(seconds))
            for slot in self._slots.values():
                slot.times = replace(slot.times, to_cpu_s=self._default.to_cpu_s)

    def get_all_status(self) -> dict[str, Residence]:
        """Every model, by name."""
        memory = frameworks.device_memory()
        with self._changed:
            running = self._monitor is not None
            return {
                name: Residence(
                    location=slot.location,
                    idle_time_seconds=round(self._idle_s(slot), 3),
                    idle_timeout_seconds=slot.times.to_cpu_s,
                    monitor_running=running,
                    gpu_memory=memory,
                )
                for name, slot in self._slots.items()
            }

    def move_idle(self) -> list[str]:
        """Move what has been idle long enough, waiting for nobody; the names. The monitor does it every second."""
        moved = []
        for slot in self._all(None):
            with self._changed:
                busy = slot.moving or slot.users > 0
                to = idle_move(slot.location, self._idle_s(slot), slot.times, busy=busy, pinned=slot.pinned)
                due = to != slot.location and self._claim(slot, to)
            if due:
                self._move_away(slot, to)
                moved.append(slot.name)
        return moved

    def start_monitor(self, interval_s: float = _MONITOR_S) -> None:
        """Have a thread look for idle models; a second call changes nothing."""
        with self._changed:
            if self._monitor is not None:
                return
            self._stop = threading.Event()
            watch = threading.Thread(
                target=self._watch, args=(interval_s, self._stop), name="model-monitor", daemon=True
            )
            self._monitor = watch
        watch.start()

    def stop_monitor(self) -> None:
        """Idle models stay where they are from now on; waits for a move under way."""
        with self._changed:
            monitor, self._monitor = self._monitor, None
            self._stop.set()
        if monitor is not None and monitor is not threading.current_thread():
            monitor.join(_IN_USE_S)

    def _watch(self, interval_s: float, stop: threading.Event) -> None:
        while not stop.wait(interval_s):
            self._look()

    def _look(self) -> None:
        try:
            self.move_idle()
        except Exception:  # noqa: BLE001  # a thread's boundary: a model that cannot move must not end the monitor
            logger.exception("an idle model could not be moved; it is loaded anew when it is needed")

    # ---- under the lock

    def _slot(self, name: str) -> _Slot:
        if name not in self._slots:
            self._slots[name] = _Slot(name, self._default, pinned=False, last_used=self._clock())
        return self._slots[name]

    def _idle_s(self, slot: _Slot) -> float:
        return 0.0 if slot.users else self._clock() - slot.last_used

    def _claim(self, slot: _Slot, to: Location) -> bool:
        """Become the one who moves a model nobody uses; False when there is nothing to move."""
        if slot.location in ("unloaded", to) or (to == "cpu" and slot.mover is None):
            return False
        slot.moving, slot.failure = True, None
        return True

    # ---- moves

    def _bring(self, load: Callable[[], object], name: str, holds: int) -> object:
        with self._changed:
            slot = self._slot(name)
            self._await_move(slot)
            if slot.location == "gpu":
                slot.users, slot.last_used = slot.users + holds, self._clock()
                return slot.model
            slot.moving, slot.failure = True, None
        with self._settling(slot, "gpu", holds):
            if slot.location == "unloaded":
                slot.model = load()
                slot.mover = frameworks.movable(slot.model)
            elif slot.mover is not None:
                slot.mover.to_device()
            return slot.model

    def _await_move(self, slot: _Slot) -> None:
        """Whoever moves it, let them end; raises the error of theirs that would be ours."""
        if not slot.moving:
            return
        if not self._changed.wait_for(lambda: not slot.moving, _LOAD_S):
            raise ModelBusy(f"{slot.name} was still on its way after {_LOAD_S:g} s")
        if slot.failure is not None:
            raise slot.failure

    def _send_away(self, name: str | None, to: Location, wait_s: float) -> list[str]:
        deadline = time.monotonic() + wait_s
        moved, busy = [], []
        for slot in self._all(name):
            with self._changed:
                left = max(0.0, deadline - time.monotonic())
                free = self._changed.wait_for(lambda slot=slot: not slot.users and not slot.moving, left)  # type: ignore[misc]
                due = free and self._claim(slot, to)
            if due:
                self._move_away(slot, to)
                moved.append(slot.name)
            elif not free:
                busy.append(slot.name)
        if busy:
            raise ModelBusy(f"still in use after {wait_s:g} s: {', '.join(busy)}")
        return moved

    def _move_away(self, slot: _Slot, to: Location) -> None:
        with self._settling(slot, to):
            if to == "cpu" and slot.mover is not None:
                slot.mover.to_host()
            else:
                slot.model = slot.mover = None
        frameworks.clear_caches()

    @contextmanager
    def _settling(self, slot: _Slot, to: Location, holds: int = 0) -> Iterator[None]:
        """Around a claimed move. One that fails leaves the model unloaded: half-moved weights are not to be trusted."""
        try:
            yield
        except BaseException as error:
            with self._changed:
                slot.failure = error if to == "gpu" and isinstance(error, Exception) else None
                slot.model = slot.mover = None
                slot.location, slot.moving = "unloaded", False
                self._changed.notify_all()
            raise
        with self._changed:
            slot.location, slot.moving, slot.users = to, False, slot.users + holds
            if to == "gpu":
                slot.last_used = self._clock()
            self._changed.notify_all()

    def _all(self, name: str | None) -> list[_Slot]:
        with self._changed:
            return list(self._slots.values()) if name is None else [self._slots[name]]


def _seconds(value: float) -> float:
    if not value >= 0:  # NaN too
        raise ValueError("an idle time is seconds, 0 or more")
    return value
