"""The model manager of a process: which models are on the device, and when they move. The library behind `src.gpu`.

Thread-safe: one lock guards the bookkeeping and is never held while weights move. A model is moved by one caller at a
time; concurrent callers wait and get the same result or error. Engine and OCR workers use it without the monitor, on
the thread that owns their model; other programs may start the monitor.
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
    """A model was still in use or moving when the timeout expired."""


class Residence(TypedDict):
    """One model. `gpu_memory` is that of the process, by device: frameworks do not count per model."""

    location: Location
    idle_time_seconds: float
    idle_timeout_seconds: float
    monitor_running: bool
    gpu_memory: dict[str, DeviceMemory]


@dataclass
class _Slot:
    """One model. While `moving`, only the thread that set it touches `model`."""

    name: str
    times: IdleTimes
    pinned: bool
    last_used: float
    model: object | None = None
    mover: Movable | None = None
    location: Location = "unloaded"
    users: int = 0
    moving: bool = False
    failure: Exception | None = None  # the error of the last load or restore, for concurrent callers

    def is_free(self) -> bool:
        return not self.users and not self.moving


class ModelManager:
    """Loads models on demand and offloads idle ones. `idle_timeout` in seconds; 0 is never."""

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
        """Register a model before its first use, or set its own timeouts; nothing is loaded."""
        with self._changed:
            slot = self._slot(model_name)
            to_cpu = slot.times.to_cpu_s if idle_timeout is None else _seconds(idle_timeout)
            to_unloaded = slot.times.to_unloaded_s if unload_timeout is None else _seconds(unload_timeout)
            slot.times, slot.pinned = IdleTimes(to_cpu, to_unloaded), pinned

    def get_model(self, load_func: Callable[[], T], model_name: str) -> T:
        """The model on its device, loaded by `load_func` or restored.

        It may be offloaded as soon as this returns; `use` prevents that. Raises what `load_func` raises.
        """
        return cast("T", self._acquire(load_func, model_name, holds=0))

    @contextmanager
    def use(self, load_func: Callable[[], T], model_name: str) -> Iterator[T]:
        """The model on its device for the duration of the block."""
        model = self._acquire(load_func, model_name, holds=1)
        try:
            yield cast("T", model)
        finally:
            with self._changed:
                slot = self._slots[model_name]
                slot.users, slot.last_used = slot.users - 1, self._clock()
                self._changed.notify_all()

    def force_offload(self, model_name: str | None = None, *, wait_s: float = _IN_USE_S) -> list[str]:
        """Offload one model, or all, now; returns the names of those that were moved.

        Models that cannot be offloaded are kept. Raises KeyError for an unknown model, and `ModelBusy` for models in
        use after `wait_s`, once the others have moved.
        """
        return self._evict(model_name, "cpu", wait_s)

    def force_release(self, model_name: str | None = None, *, wait_s: float = _IN_USE_S) -> list[str]:
        """Unload one model, or all; memory is freed once callers drop their references. Returns and raises as above."""
        return self._evict(model_name, "unloaded", wait_s)

    def update_all_timeout(self, seconds: float) -> None:
        """Set the idle timeout of all models, future ones included; 0 is never."""
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
        """Move models whose idle timeout has passed, without waiting; returns their names. The monitor's work."""
        moved = []
        for slot in self._all(None):
            with self._changed:
                busy = slot.moving or slot.users > 0
                to = idle_move(slot.location, self._idle_s(slot), slot.times, busy=busy, pinned=slot.pinned)
                due = to != slot.location and self._claim_move(slot, to)
            if due:
                self._move_away(slot, to)
                moved.append(slot.name)
        return moved

    def start_monitor(self, interval_s: float = _MONITOR_S) -> None:
        """Start a thread that offloads idle models; a second call has no effect."""
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
        """Stop offloading idle models; waits for a move in progress."""
        with self._changed:
            monitor, self._monitor = self._monitor, None
            self._stop.set()
        if monitor is not None and monitor is not threading.current_thread():
            monitor.join(_IN_USE_S)

    def _watch(self, interval_s: float, stop: threading.Event) -> None:
        while not stop.wait(interval_s):
            self._move_idle_once()

    def _move_idle_once(self) -> None:
        try:
            self.move_idle()
        except Exception:  # noqa: BLE001  # thread boundary: a failed move must not end the monitor
            logger.exception("offloading an idle model failed; it is reloaded on demand")

    # ---- under the lock

    def _slot(self, name: str) -> _Slot:
        if name not in self._slots:
            self._slots[name] = _Slot(name, self._default, pinned=False, last_used=self._clock())
        return self._slots[name]

    def _idle_s(self, slot: _Slot) -> float:
        return 0.0 if slot.users else self._clock() - slot.last_used

    def _claim_move(self, slot: _Slot, to: Location) -> bool:
        """Claim the move of an unused model; False when there is nothing to move."""
        if slot.location in ("unloaded", to) or (to == "cpu" and slot.mover is None):
            return False
        slot.moving, slot.failure = True, None
        return True

    # ---- moves

    def _acquire(self, load: Callable[[], object], name: str, holds: int) -> object:
        with self._changed:
            slot = self._slot(name)
            self._wait_for_move(slot)
            if slot.location == "gpu":
                slot.users, slot.last_used = slot.users + holds, self._clock()
                return slot.model
            slot.moving, slot.failure = True, None
        with self._transition(slot, "gpu", holds):
            if slot.location == "unloaded":
                slot.model = load()
                slot.mover = frameworks.movable(slot.model)
            elif slot.mover is not None:
                slot.mover.to_device()
            return slot.model

    def _wait_for_move(self, slot: _Slot) -> None:
        """Wait for a move by another thread; raises its error."""
        if not slot.moving:
            return
        if not self._changed.wait_for(lambda: not slot.moving, _LOAD_S):
            raise ModelBusy(f"{slot.name} was still moving after {_LOAD_S:g} s")
        if slot.failure is not None:
            raise slot.failure

    def _evict(self, name: str | None, to: Location, wait_s: float) -> list[str]:
        deadline = time.monotonic() + wait_s
        moved, busy = [], []
        for slot in self._all(name):
            with self._changed:
                left = max(0.0, deadline - time.monotonic())
                free = self._changed.wait_for(slot.is_free, left)
                due = free and self._claim_move(slot, to)
            if due:
                self._move_away(slot, to)
                moved.append(slot.name)
            elif not free:
                busy.append(slot.name)
        if busy:
            raise ModelBusy(f"still in use after {wait_s:g} s: {', '.join(busy)}")
        return moved

    def _move_away(self, slot: _Slot, to: Location) -> None:
        with self._transition(slot, to):
            if to == "cpu" and slot.mover is not None:
                slot.mover.to_host()
            else:
                slot.model = slot.mover = None
        frameworks.clear_caches()

    @contextmanager
    def _transition(self, slot: _Slot, to: Location, holds: int = 0) -> Iterator[None]:
        """Around a claimed move. A failed move unloads the model: its weights are incomplete."""
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
        raise ValueError("an idle timeout must be 0 or more seconds")
    return value
