"""What a round's outcomes come to, and how rounds compare. Pure."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Sequence

import msgspec

from src.bench.stream import Outcome


class Round(msgspec.Struct):
    """One server's round of one workload, in seconds and tokens; None where no token came.

    `rate` is output tokens a second from the first request to the last token, or to the last failure if that is later.
    `early` counts answers with fewer tokens than were asked for, `uncounted` those whose tokens no usage told.
    """

    rate: float
    first_p50: float | None
    first_p95: float | None
    gap_p50: float | None
    gap_p95: float | None
    gap_max: float | None
    tokens: int
    prompt: int | None
    early: int
    uncounted: int
    failures: dict[str, int]


def round_of(outcomes: Sequence[Outcome], wanted: Sequence[int]) -> Round:
    """`wanted`: the `max_tokens` of each."""
    firsts = [one.wait for one in outcomes if one.wait is not None]
    gaps = [gap for one in outcomes for gap in one.gaps]
    prompts = [one.usage.prompt_tokens for one in outcomes if one.usage is not None]
    whole = [(one, most) for one, most in zip(outcomes, wanted, strict=True) if one.failure is None]
    tokens = sum(one.tokens for one in outcomes)
    return Round(
        rate=tokens / max(_until(one) for one in outcomes),
        first_p50=percentile(firsts, 0.5),
        first_p95=percentile(firsts, 0.95),
        gap_p50=percentile(gaps, 0.5),
        gap_p95=percentile(gaps, 0.95),
        gap_max=max(gaps, default=None),
        tokens=tokens,
        prompt=int(statistics.median(prompts)) if prompts else None,
        early=sum(one.tokens < most for one, most in whole if one.usage is not None or one.finish != "length"),
        uncounted=sum(one.usage is None for one, _ in whole),
        failures=dict(Counter(one.failure for one in outcomes if one.failure is not None)),
    )


def _until(one: Outcome) -> float:
    return one.end if one.failure is not None or one.last is None else one.last


def percentile(values: Sequence[float], share: float) -> float | None:
    """The least value that so many are at or below."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)] if values else None


def shown(values: Sequence[float | None], digits: int = 0) -> str:
    """The median, with the range when there is one; a dash for nothing."""
    known = [value for value in values if value is not None]
    if not known:
        return "–"
    text = f"{statistics.median(known):.{digits}f}"
    return text if len(known) < 2 else f"{text} ({min(known):.{digits}f}–{max(known):.{digits}f})"


def ratios(ones: Sequence[float], others: Sequence[float]) -> list[float]:
    """Pair by pair of the same round; a round without a token compares with none."""
    return [one / other for one, other in zip(ones, others, strict=True) if other]
