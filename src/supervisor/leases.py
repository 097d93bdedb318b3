"""A request's place at a model, and a model with those who wait for it and use it: what `models.py` decides over.

Nothing here waits or moves: a lease's future tells the request, and `ModelSlot` tells the policy.
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
    """One request's place at a model. `granted` ends with None, or with the error to answer.

    `revoked` ends with the error that takes a granted one away.
    """

    wish: AcquireModel
    arrived: float
    granted: asyncio.Future[None]
    revoked: asyncio.Future[ServiceError]

    def too_late(self, patience_s: float) -> ServiceError:
        """What it is told after so many seconds without a place."""
        if self.wish.background:
            return DeadlineExceeded(
                f"There was no quiet time for a background request within {patience_s:g} s (BACKGROUND_TIMEOUT).",
                retry_after_s=_ROOM_RETRY_S,
            )
        return BackendUnavailable(
            f"Other models kept the device for {patience_s:g} s (QUEUE_TIMEOUT, MAX_CONCURRENT_MODELS).",
            retry_after_s=_ROOM_RETRY_S,
        )


@dataclass(eq=False)
class ModelEntry:
    """A model, its leases, and why it failed last, until it is loaded again. Seconds on the table's clock."""

    place: ModelSlot
    returns: bool  # it is loaded again by itself after a failure: it is pinned, or the default
    waiting: list[Lease] = field(default_factory=list)
    running: set[Lease] = field(default_factory=set)
    failure: str | None = None
    failed_at: float = 0.0
    began_at: float = 0.0
    said_at: float = 0.0

    @property
    def state(self) -> ModelState:
        place = self.place
        if place.location == "unloaded" and place.target != "gpu" and self.failure is not None:
            return "failed"
        return place.location if place.target is None else _UNDER_WAY[place.location, place.target]

    @property
    def in_demand(self) -> bool:
        """Whether anybody waits or runs here who is no background request."""
        return any(not lease.wish.background for lease in (*self.waiting, *self.running))

    def failed(self, why: str, now: float) -> None:
        self.failure, self.failed_at = why, now

    def wait(self, lease: Lease) -> None:
        self.waiting.append(lease)
        self._count()

    def answer(self, error: ServiceError | None, now: float) -> None:
        """Let in all who wait, or tell them why not."""
        for lease in self.waiting:
            if lease.granted.done():
                continue
            if error is None:
                self.running.add(lease)
                lease.granted.set_result(None)
            else:
                lease.granted.set_exception(error)
        self.waiting.clear()
        self.place.last_used = now
        self._count()

    def revoke(self, error: ServiceError) -> None:
        """Take the place away from all who have it: there is no process for them, and none will come by itself."""
        for lease in self.running:
            if not lease.revoked.done():
                lease.revoked.set_result(error)
        self.running.clear()
        self._count()

    def give_back(self, lease: Lease, now: float) -> None:
        """It is over, wherever it was."""
        if lease in self.waiting:
            self.waiting.remove(lease)
        if lease in self.running:
            self.running.discard(lease)
            self.place.last_used = now
        self._count()

    def _count(self) -> None:
        place = self.place
        place.running, place.waiting = len(self.running), len(self.waiting)
        place.oldest = min((lease.arrived for lease in self.waiting), default=0.0)
