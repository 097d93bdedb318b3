"""Measured speed of this engine: for time budgets that fit the machine, and for Retry-After.

Exponential moving averages; the scheduler writes, the I/O thread reads single numbers.
"""

from __future__ import annotations

_WEIGHT = 0.1


class Average:
    """A moving average of seconds; None before the first."""

    def __init__(self) -> None:
        self.value: float | None = None

    def add(self, seconds: float) -> None:
        self.value = seconds if self.value is None else self.value + _WEIGHT * (seconds - self.value)


class StepTimes:
    """Seconds a decode step takes, a prompt's token takes, and a request spends running."""

    def __init__(self) -> None:
        self.step = Average()
        self.prompt_token = Average()
        self.service = Average()

    def wait_s(self, waiting: int, slots: int) -> float:
        """How long a request at the end of a queue of `waiting` waits for one of `slots`; at least a second."""
        return max(1.0, (waiting + 1) * (self.service.value or 0.0) / slots)
