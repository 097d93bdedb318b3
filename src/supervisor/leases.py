"""Leases (one request's right to use a model) and table entries (a model with its waiting and running leases).

State of `models.py`; nothing here waits or moves weights. A lease's futures notify its request.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from src.errors import BackendUnavailable, DeadlineExceeded, ServiceError
from src.gpu.lifecycle import Location
from src.ipc.messages.control import AcquireModel
from src.ipc.messages.status import ModelState
from src.supervisor.turns import ModelSlot

_ROOM_RETRY_S = 5.0
_UNDER_WAY: dict[tuple[Location, Location], ModelState] = {
    ("unloaded", "gpu"): "loading",
    ("unloaded", "unloaded"): "unloading",
    ("cpu", "gpu"): "restoring",
    ("cpu", "unloaded"): "unloading",
    ("gpu", "cpu"): "offloading",
    ("gpu", "unloaded"): "unloading",
}


@dataclass(eq=False)
class Lease:
    """One request's right to use a model.

    `granted` resolves to None or raises the error to answer; `revoked` resolves to the error that ends a granted lease.
    """

    request: AcquireModel
    arrived: float
    granted: asyncio.Future[None]
    revoked: asyncio.Future[ServiceError]

    def timeout_error(self, timeout_s: float) -> ServiceError:
        """The error for a lease that was not granted in time."""
        if self.request.background:
            return DeadlineExceeded(
                f"The server was not idle within {timeout_s:g} s to run a background request (BACKGROUND_TIMEOUT).",
                retry_after_s=_ROOM_RETRY_S,
            )
        return BackendUnavailable(
            f"No capacity for this model within {timeout_s:g} s (QUEUE_TIMEOUT, MAX_CONCURRENT_MODELS).",
            retry_after_s=_ROOM_RETRY_S,
        )


@dataclass(eq=False)
class ModelEntry:
    """A model, its leases, and its last load failure until the next load. Seconds on the table's clock."""

    slot: ModelSlot
    auto_reload: bool  # reloaded after a failure without a request: pinned, or the default model
    waiting: list[Lease] = field(default_factory=list)
    running: set[Lease] = field(default_factory=set)
    failure: str | None = None
    failed_at: float = 0.0
    load_started_at: float = 0.0
    logged_at: float = 0.0

    @property
    def state(self) -> ModelState:
        slot = self.slot
        if slot.location == "unloaded" and slot.target != "gpu" and self.failure is not None:
            return "failed"
        return slot.location if slot.target is None else _UNDER_WAY[slot.location, slot.target]

    @property
    def in_demand(self) -> bool:
        """Whether a request other than background ones waits or runs."""
        return any(not lease.request.background for lease in (*self.waiting, *self.running))

    def failed(self, why: str, now: float) -> None:
        self.failure, self.failed_at = why, now

    def wait(self, lease: Lease) -> None:
        self.waiting.append(lease)
        self._count()

    def answer(self, error: ServiceError | None, now: float) -> None:
        """Grant all waiting leases, or fail them with `error`."""
        for lease in self.waiting:
            if lease.granted.done():
                continue
            if error is None:
                self.running.add(lease)
                lease.granted.set_result(None)
            else:
                lease.granted.set_exception(error)
        self.waiting.clear()
        self.slot.last_used = now
        self._count()

    def revoke(self, error: ServiceError) -> None:
        """Revoke all running leases: the process is gone and will not be restarted."""
        for lease in self.running:
            if not lease.revoked.done():
                lease.revoked.set_result(error)
        self.running.clear()
        self._count()

    def release(self, lease: Lease, now: float) -> None:
        """Remove the lease, waiting or running."""
        if lease in self.waiting:
            self.waiting.remove(lease)
        if lease in self.running:
            self.running.discard(lease)
            self.slot.last_used = now
        self._count()

    def _count(self) -> None:
        slot = self.slot
        slot.running, slot.waiting = len(self.running), len(self.waiting)
        slot.oldest = min((lease.arrived for lease in self.waiting), default=0.0)
