"""What the engine's steps take: averages for time budgets and Retry-After, histograms for metrics and the debug log.

The scheduler adds what it and the backend measured, on the owner thread; the I/O thread reads single values, or
histograms whole.
"""

from __future__ import annotations

from bisect import bisect_left

from src import logs
from src.ipc.messages.status import HistogramReading

_WEIGHT = 0.1


class Average:
    """A moving average of seconds; None before the first."""

    def __init__(self) -> None:
        self.value: float | None = None

    def add(self, seconds: float) -> None:
        self.value = seconds if self.value is None else self.value + _WEIGHT * (seconds - self.value)


class StepTimes:
    """Seconds a decode step takes, and a request spends running."""

    def __init__(self) -> None:
        self.step = Average()
        self.service = Average()

    def wait_s(self, waiting: int, slots: int) -> float:
        """How long a request at the end of a queue of `waiting` waits for one of `slots`; at least a second."""
        return max(1.0, (waiting + 1) * (self.service.value or 0.0) / slots)


PHASES = ("fetch", "admit", "prefill", "decode", "forward", "sample", "keep", "text", "publish")
_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_TOKENS = (1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384)
_REPORT_S = 10.0


class Histogram:
    """How often a value came, by upper bound; the last count is of what is beyond all."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.count = 0
        self.total = 0.0

    def add(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self.count += 1
        self.total += value

    def reading(self) -> HistogramReading:
        return HistogramReading(self._bounds, tuple(self._counts), self.total)


class Phases:
    """Seconds by phase, and tokens by step."""

    def __init__(self, now: float) -> None:
        self._seconds = {phase: Histogram(_SECONDS) for phase in PHASES}
        self._tokens = Histogram(_TOKENS)
        self._reported = now
        self._before: dict[str, tuple[int, float]] = {}

    def add(self, times: dict[str, float]) -> None:
        for phase, seconds in times.items():
            self._seconds[phase].add(seconds)

    def step(self, tokens: int, now: float) -> None:
        """A step computed that many tokens, of prompts and answers together."""
        self._tokens.add(tokens)
        if now - self._reported >= _REPORT_S:
            self._reported = now
            logs.model.debug("steps, mean ms (count): {}", self.summary())

    def summary(self) -> str:
        """Each phase's mean and count since this was last asked."""
        parts = []
        for phase, histogram in self._seconds.items():
            count, total = self._before.get(phase, (0, 0.0))
            self._before[phase] = histogram.count, histogram.total
            if new := histogram.count - count:
                parts.append(f"{phase} {1000 * (histogram.total - total) / new:.2f} ({new})")
        return ", ".join(parts)

    def readings(self) -> tuple[dict[str, HistogramReading], HistogramReading]:
        """By phase, and of tokens."""
        return {phase: histogram.reading() for phase, histogram in self._seconds.items()}, self._tokens.reading()
