"""Work for a few threads, by turns between owners: tokenising and compiling grammars. Used by `encoding`.

A `FairExecutor` belongs to the event loop's thread: work of a client that has left is never begun,
and work that overruns its time gives its slot to the next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from src.errors import DeadlineExceeded, Overloaded
from src.fairness import FairQueue

T = TypeVar("T")


class PeerGone(Exception):
    """The client left before its work was done."""


class WorkTimeout(Exception):
    """The work was begun, and took longer than it may."""


@dataclass(frozen=True)
class QueueBounds:
    """`queue_limit`: jobs of one owner that wait. `queue_s`: seconds one waits. `per_owner`: slots of one owner.

    `spare` threads compute what overran its time beside the `threads` slots.
    """

    threads: int
    queue_limit: int
    queue_s: float
    per_owner: int
    spare: int = 0


@dataclass(eq=False)
class _Job:
    owner: str
    work: Callable[[], object]
    gone: asyncio.Future[None]
    done: asyncio.Future[object]
    timeout_s: float | None
    holds_slot: bool = False


class FairExecutor:
    """`run` puts work on its threads; `what` names it in errors."""

    def __init__(self, what: str, bounds: QueueBounds) -> None:
        self._what = what
        self._bounds = bounds
        self._threads = ThreadPoolExecutor(bounds.threads + bounds.spare, thread_name_prefix=what)
        self._waiting: FairQueue[_Job] = FairQueue({"normal": 0}, 0, lambda _: "normal", lambda job: job.owner)
        self._slots: dict[str, int] = {}  # taken, by owner
        self._overrun = 0  # jobs that go on without a slot

    async def run(
        self, owner: str, work: Callable[[], T], gone: asyncio.Future[None], timeout_s: float | None = None
    ) -> T:
        """The result of `work`, or what it raised.

        Raises:
            Overloaded: too much of this owner's waits.
            DeadlineExceeded: its turn did not come in time.
            WorkTimeout: `timeout_s` after it began it was not done; it goes on by itself.
            PeerGone: the client left first.
        """
        self._check_room(owner)
        loop = asyncio.get_running_loop()
        job = _Job(owner, work, gone, loop.create_future(), timeout_s)
        self._waiting.push(job, loop.time())
        expiry = loop.call_later(self._bounds.queue_s, self._expire, job)
        self._start_next()
        try:
            await asyncio.wait(cast("set[asyncio.Future[Any]]", {job.done, gone}), return_when=asyncio.FIRST_COMPLETED)
            if not job.done.done():
                raise PeerGone
            return cast(T, job.done.result())
        finally:
            expiry.cancel()
            self._waiting.remove(job)
            job.done.cancel()

    def shutdown(self) -> None:
        """Begin nothing more."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _check_room(self, owner: str) -> None:
        waiting = self._waiting.held(owner)
        if waiting >= self._bounds.queue_limit:
            text = f"Too many requests wait for {self._what}: {waiting} (MAX_NUM_SEQS + MAX_QUEUE_SIZE)."
            raise Overloaded(text, retry_after_s=1.0)

    def _may_run(self, owner: str) -> bool:
        return self._slots.get(owner, 0) < self._bounds.per_owner

    def _start_next(self) -> None:
        while sum(self._slots.values()) < self._bounds.threads:
            job = self._waiting.pop(self._may_run)
            if job is None:
                return
            if not (job.gone.done() or job.done.done()):
                self._start(job)

    def _start(self, job: _Job) -> None:
        loop = asyncio.get_running_loop()
        self._slots[job.owner] = self._slots.get(job.owner, 0) + 1
        job.holds_slot = True
        running = loop.run_in_executor(self._threads, job.work)
        overdue = None if job.timeout_s is None else loop.call_later(job.timeout_s, self._time_out, job)

        def ended(result: asyncio.Future[object]) -> None:
            if overdue is not None:
                overdue.cancel()
            self._end(job, result)

        running.add_done_callback(ended)

    def _end(self, job: _Job, result: asyncio.Future[object]) -> None:
        if job.holds_slot:
            self._give_slot_back(job)
        else:
            self._overrun -= 1
        _settle(job.done, result)
        self._start_next()

    def _time_out(self, job: _Job) -> None:
        """Its client is answered; the thread cannot be stopped, but need not keep the others waiting."""
        if not job.done.done():
            job.done.set_exception(WorkTimeout())
        if self._overrun < self._bounds.spare:
            self._overrun += 1
            self._give_slot_back(job)
            self._start_next()

    def _give_slot_back(self, job: _Job) -> None:
        job.holds_slot = False
        left = self._slots.pop(job.owner) - 1
        if left:
            self._slots[job.owner] = left

    def _expire(self, job: _Job) -> None:
        if self._waiting.remove(job) and not job.done.done():
            text = f"The request waited {self._bounds.queue_s:g} s for {self._what} (QUEUE_TIMEOUT)."
            job.done.set_exception(DeadlineExceeded(f"{text} Try again when there is less load.", retry_after_s=1.0))


def _settle(done: asyncio.Future[object], result: asyncio.Future[object]) -> None:
    """Pass on what the thread made, if anybody still waits for it."""
    error = None if result.cancelled() else result.exception()
    if done.done():
        return
    if result.cancelled():
        done.cancel()
    elif error is not None:
        done.set_exception(error)
    else:
        done.set_result(result.result())
