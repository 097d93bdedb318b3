"""An event loop whose clock jumps, for tests of waiting that do not wait."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

Run = Callable[[Coroutine[Any, Any, None]], None]


class _Jump(selectors.DefaultSelector):
    """Never sleeps: when nothing is ready, the clock jumps to the next timer."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(0)
        if not events:
            assert timeout is not None, "something waits without a deadline, and nothing will ever happen"
            self.now += max(0.0, timeout)
        return events


class JumpingLoop(asyncio.SelectorEventLoop):
    """Time passes only when there is nothing to do, and then at once."""

    def __init__(self) -> None:
        self._clock = _Jump()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now


@pytest.fixture
def run() -> Run:
    """Run a coroutine on a loop with a jumping clock."""

    def run(test: Coroutine[Any, Any, None]) -> None:
        loop = JumpingLoop()
        try:
            loop.run_until_complete(test)
        finally:
            for task in asyncio.all_tasks(loop):
                task.cancel()
                loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
            loop.close()

    return run
