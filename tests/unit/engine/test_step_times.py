"""Where a turn's time goes: histograms that add up, and a line for the debug log."""

from __future__ import annotations

import pytest

from src.engine.step_times import Histogram, Phases


@pytest.mark.parametrize(("value", "bucket"), [(0, 0), (1, 0), (1.5, 1), (10, 1), (10.5, 2), (1e9, 2)])
def test_a_value_counts_under_the_least_bound_it_fits(value: float, bucket: int) -> None:
    """Bounds are inclusive, as Prometheus has them; what is beyond all is counted too."""
    histogram = Histogram((1, 10))
    histogram.add(value)
    reading = histogram.reading()
    assert [at for at, count in enumerate(reading.counts) if count] == [bucket]
    assert (reading.total, sum(reading.counts)) == (value, 1)


def test_the_log_says_what_is_new() -> None:
    """Each report covers the time since the last one."""
    phases = Phases(now=0.0)
    phases.add({"decode": 0.010, "text": 0.001})
    phases.add({"decode": 0.030})
    assert phases.summary() == "decode 20.00 (2), text 1.00 (1)"
    phases.add({"decode": 0.005})
    assert phases.summary() == "decode 5.00 (1)"
    assert phases.summary() == ""


def test_tokens_by_step() -> None:
    """Prompts' and answers' tokens together."""
    phases = Phases(now=0.0)
    for tokens in (1, 8, 500):
        phases.step(tokens, now=1.0)
    _, tokens_read = phases.readings()
    assert (sum(tokens_read.counts), tokens_read.total) == (3, 509)
