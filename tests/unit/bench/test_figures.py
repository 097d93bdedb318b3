"""What rounds come to: by hand."""

from __future__ import annotations

import pytest

from src.bench.figures import percentile, ratios, round_of, shown
from src.bench.stream import Outcome, ReportedUsage


def outcome(last: float, tokens: int, failure: str | None = None, end: float = 9.0) -> Outcome:
    usage = ReportedUsage(75, tokens) if failure is None else None
    return Outcome(0.5, 1.0, last, end, [0.1, last / 10], tokens, usage, "length", failure)


def test_a_round_of_two() -> None:
    """From the first request to the last token of all; waits from each one's own beginning."""
    found = round_of([outcome(2.0, 10), outcome(4.0, 10)], [10, 10])
    assert (found.rate, found.first_p50, found.first_p95, found.gap_max) == (5.0, 0.5, 0.5, 0.4)
    assert (found.tokens, found.prompt, found.early, found.uncounted, found.failures) == (20, 75, 0, 0, {})


def test_failures_are_counted_and_their_time_too() -> None:
    """A stream that hung until its deadline makes no rate look better than it was."""
    found = round_of([outcome(2.0, 10), outcome(3.0, 2, "broken off", end=6.0)], [10, 10])
    assert found.rate == 2.0
    assert found.failures == {"broken off": 1}
    assert found.early == 0


def test_an_answer_may_end_early() -> None:
    assert round_of([outcome(2.0, 4)], [10]).early == 1


def test_nothing_came() -> None:
    found = round_of([Outcome(end=1.0, failure="429: no")], [10])
    assert (found.rate, found.first_p50, found.gap_max) == (0.0, None, None)


@pytest.mark.parametrize(("share", "value"), [(0.5, 10), (0.95, 19), (1.0, 20)])
def test_percentiles(share: float, value: float) -> None:
    assert percentile([float(n) for n in range(20, 0, -1)], share) == value
    assert percentile([], share) is None


def test_rounds_are_compared_in_pairs() -> None:
    """Of rounds that ran one after the other, not of medians."""
    assert ratios([10.0, 40.0, 90.0], [10.0, 20.0, 30.0]) == [1.0, 2.0, 3.0]
    assert ratios([10.0], [0.0]) == []
    assert [shown([7.0]), shown([1.0, 3.0, 2.0], 1), shown([None])] == ["7", "2.0 (1.0–3.0)", "–"]
