"""Threads by turns between owners; their queue's order is `test_fairness`'s."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from src.engine.fair_executor import FairExecutor, PeerGone, QueueBounds, WorkTimeout
from src.errors import DeadlineExceeded, Overloaded

PATIENCE_S = 5.0


class Gate:
    """Work that lasts until the test lets it go."""

    def __init__(self) -> None:
        self._open = threading.Event()
        self.begun = threading.Event()

    def __call__(self) -> str:
        self.begun.set()
        assert self._open.wait(PATIENCE_S)
        return "done"

    def open(self) -> None:
        self._open.set()


class Bench:
    """One executor in a running loop. `tasks` are ended with it."""

    def __init__(self, **bounds: float) -> None:
        made = QueueBounds(**{"threads": 1, "queue_limit": 3, "queue_s": PATIENCE_S, "per_owner": 1, **bounds})  # type: ignore[arg-type]  # mixed numbers
        self.executor = FairExecutor("the test", made)
        self.gates: list[Gate] = []

    def gate(self) -> Gate:
        self.gates.append(Gate())
        return self.gates[-1]

    def put(self, owner: str, work: Callable[[], str], timeout_s: float | None = None) -> Put:
        gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        return Put(asyncio.ensure_future(self.executor.run(owner, work, gone, timeout_s)), gone)

    def close(self) -> None:
        for gate in self.gates:
            gate.open()
        self.executor.shutdown()


@dataclass
class Put:
    """Work that was handed in, and its client."""

    task: asyncio.Task[str]
    gone: asyncio.Future[None]

    async def result(self) -> str:
        return await asyncio.wait_for(self.task, PATIENCE_S)


async def begun(gate: Gate) -> None:
    assert await asyncio.to_thread(gate.begun.wait, PATIENCE_S)


def test_work_of_a_client_that_left_is_never_begun() -> None:
    """Eight texts wait behind one; their clients leave, and the next client's text is the next to be encoded."""

    async def main() -> None:
        bench = Bench(queue_limit=10)
        first, late = bench.gate(), bench.gate()
        one = bench.put("", first)
        await begun(first)
        left = [bench.put("", late) for _ in range(8)]
        last = bench.put("", lambda: "mine")
        await asyncio.sleep(0)
        for put in left:
            put.gone.set_result(None)
        gone = await asyncio.gather(*(put.task for put in left), return_exceptions=True)
        first.open()
        assert await last.result() == "mine"
        assert await one.result() == "done"
        assert [type(error) for error in gone] == [PeerGone] * 8
        assert not late.begun.is_set()
        bench.close()

    asyncio.run(main())


def test_one_owners_queue_is_bounded() -> None:
    """Beyond its length 429 with Retry-After, for this owner alone."""

    async def main() -> None:
        bench = Bench(queue_limit=2)
        gate = bench.gate()
        puts = [bench.put("alice", gate)]
        await begun(gate)
        puts += [bench.put("alice", lambda: "a") for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded, match="MAX_QUEUE_SIZE") as caught:
            await bench.put("alice", lambda: "a").result()
        assert caught.value.retry_after_s
        bob = bench.put("bob", lambda: "b")
        gate.open()
        assert await bob.result() == "b"
        assert [await put.result() for put in puts] == ["done", "a", "a"]
        bench.close()

    asyncio.run(main())


def test_what_waits_too_long_ends() -> None:
    """Every wait has a deadline, and the error names its setting."""

    async def main() -> None:
        bench = Bench(queue_s=0.05)
        gate = bench.gate()
        running = bench.put("", gate)
        await begun(gate)
        with pytest.raises(DeadlineExceeded, match="QUEUE_TIMEOUT"):
            await bench.put("", lambda: "late").result()
        gate.open()
        assert await running.result() == "done"  # the deadline is the wait's, not the work's
        bench.close()

    asyncio.run(main())


def test_time_counts_from_the_start_of_the_work() -> None:
    """Two that are slow do not make a third, trivial one fail: it waits for a thread, and then has all its time."""

    async def main() -> None:
        bench = Bench(threads=2, per_owner=2, spare=2)
        slow = [bench.gate(), bench.gate()]
        puts = [bench.put("", gate, timeout_s=0.1) for gate in slow]
        trivial = bench.put("", lambda: "quick", timeout_s=0.1)
        for put in puts:
            with pytest.raises(WorkTimeout):
                await put.result()
        assert await trivial.result() == "quick"
        bench.close()

    asyncio.run(main())


def test_an_owner_leaves_a_slot_for_the_others() -> None:
    """Whatever one owner compiles, another's is begun at once."""

    async def main() -> None:
        bench = Bench(threads=2, per_owner=1, queue_limit=9)
        gate = bench.gate()
        puts = [bench.put("alice", gate) for _ in range(3)]
        await begun(gate)
        assert await bench.put("bob", lambda: "b").result() == "b"
        gate.open()
        assert [await put.result() for put in puts] == ["done"] * 3
        bench.close()

    asyncio.run(main())


def test_without_spare_threads_an_overrun_keeps_its_slot() -> None:
    """More work than threads is never begun, however many overran their time."""

    async def main() -> None:
        bench = Bench(threads=1, spare=1)
        gates = [bench.gate(), bench.gate()]
        for gate in gates:
            with pytest.raises(WorkTimeout):
                await bench.put("", gate, timeout_s=0.05).result()
        third = bench.put("", lambda: "c")
        await asyncio.sleep(0.05)
        assert not third.task.done()
        gates[1].open()
        assert await third.result() == "c"
        bench.close()

    asyncio.run(main())


def test_an_error_reaches_who_asked() -> None:
    """What the work raises is raised; the slot is free again."""

    async def main() -> None:
        bench = Bench()

        def fail() -> str:
            raise ValueError("no")

        with pytest.raises(ValueError, match="no"):
            await bench.put("", fail).result()
        assert await bench.put("", lambda: "next").result() == "next"
        bench.close()

    asyncio.run(main())
