"""What is measured: the workloads of the comparison, what is wanted of each, and how often a run asks them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from src.bench.workloads import Workload

SINGLE = Workload(1, 75, 64)
UNIFORM = (SINGLE, *[Workload(n, 75, 64) for n in (8, 16, 32)])
DECODE = tuple(Workload(n, 75, 256) for n in (16, 32))
SHARED = Workload(8, 560, 64, shared=512)
MIXED = Workload(16, 200, 64, mixed=True)
# clients that each ask one fresh prompt after another, and requests that come when they will
CLOSED = tuple(Workload(n, 75, 48, turns=4) for n in (8, 16, 32))
CLOSED_LONG = tuple(Workload(n, 400, 128, turns=2) for n in (8, 16, 32))
POISSON = Workload(16, 75, 48, turns=4, rate=0.0)  # at a rate that is measured before
ARRIVALS = 0.7  # of the better peer's capacity
PEERS = ("mlx_lm", "mlx_vlm")

Rounds = tuple[tuple[Workload, int], ...]


@dataclass(frozen=True)
class Wanted:
    """Least ratios to each peer as a user installs it, and with our BLAS; least share of the limit; most of their
    first token's p95."""

    installed: float | None
    fast: Mapping[str, float]
    limit: float | None = None
    first: float | None = None


def _both(ratio: float) -> dict[str, float]:
    return dict.fromkeys(PEERS, ratio)


WANTED = {
    SINGLE: Wanted(1.3, _both(1.0), 0.75),
    UNIFORM[1]: Wanted(5, _both(1.15), 0.8),
    UNIFORM[2]: Wanted(5, _both(1.15), 0.8),
    UNIFORM[3]: Wanted(8, _both(1.25), 0.8, first=0.75),
    **{work: Wanted(8, _both(1.5), 0.8) for work in DECODE},
    SHARED: Wanted(5, {"mlx_lm": 1.0, "mlx_vlm": 3.0}),
    **{work: Wanted(None, _both(1.2), first=0.75) for work in (*CLOSED, *CLOSED_LONG)},
    POISSON: Wanted(None, _both(0.97), first=0.5),
}


@dataclass(frozen=True)
class Alone:
    """This service by itself: a `long` prompt joins `streams`; a schema at as many; `queues` of requests at once."""

    rounds: int
    streams: int = 16
    long: int = 4000
    tokens: int = 128
    queues: tuple[int, ...] = (16, 32, 64, 128)
    queue_rounds: int = 1


@dataclass(frozen=True)
class Plan:
    """A run: rounds with our BLAS in all, rounds with the peers as installed, what only this service is asked."""

    fast: Rounds
    installed: Rounds
    alone: Alone
    small: Rounds = field(default=())  # in 4 bits


FULL = Plan(
    fast=(
        *[(work, 5) for work in CLOSED],
        *[(work, 3) for work in CLOSED_LONG],
        (POISSON, 3),
        *[(work, 5) for work in (*UNIFORM, SHARED)],
        *((MIXED, 3), *[(work, 3) for work in DECODE]),
    ),
    installed=tuple((work, 2) for work in (*UNIFORM, SHARED, *DECODE)),
    alone=Alone(rounds=5, queue_rounds=3),
    small=tuple((work, 3) for work in UNIFORM),
)
# on two idle cores about 10 minutes with our BLAS, 7 with the peers as installed, 2 or 3 alone
QUICK = Plan(
    fast=(
        *((CLOSED[1], 3), (POISSON, 1)),
        *((SINGLE, 3), (UNIFORM[1], 3), (UNIFORM[2], 2), (UNIFORM[3], 3)),
        *((SHARED, 2), (DECODE[0], 2), (DECODE[1], 1)),
    ),
    installed=((SINGLE, 1), (UNIFORM[1], 1), (UNIFORM[3], 1)),
    alone=Alone(rounds=2),
)
TRY = Plan(
    fast=((CLOSED[0], 1), (SINGLE, 1), (UNIFORM[1], 1), (SHARED, 1)),
    installed=((SINGLE, 1),),
    alone=Alone(rounds=1, streams=4, long=1000, queues=(4, 8)),
)
