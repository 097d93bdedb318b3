"""The result as Markdown: what was wanted and whether it was met, then every figure. Pure."""

from __future__ import annotations

import operator
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from src.bench.figures import ratios, shown
from src.bench.workloads import Workload
from tests.bench.chat import alone
from tests.bench.chat.plan import PEERS, WANTED, Wanted
from tests.bench.chat.rounds import LIMIT, OURS, Table, names, pairs
from tests.bench.chat.servers import peer_name

_MET, _MISSED, _OPEN = "yes", "no", "in part"


@dataclass
class Results:
    """What a run has so far; `notes` are what went wrong with peers."""

    fast: Table = field(default_factory=dict)
    installed: Table = field(default_factory=dict)
    small: Table = field(default_factory=dict)
    alone: alone.Found = field(default_factory=alone.Found)
    notes: list[str] = field(default_factory=list)


def markdown(results: Results, machine: Sequence[str]) -> str:
    parts = [
        "\n".join(f"* {line}" for line in machine),
        _verdicts(results),
        "\n".join(alone.lines(results.alone)),
        "\n".join(f"* {note}" for note in results.notes),
        _figures("fp32, OpenBLAS in all", results.fast),
        _figures("fp32, the peers as installed (reference BLAS)", results.installed),
        _figures("4 bits, OpenBLAS in all", results.small),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


# ---- what was wanted


def _verdicts(results: Results) -> str:
    """One row for each workload that was measured and of which something is wanted."""
    peers = [f"{peer}.server, {kind}" for peer in PEERS for kind in ("as installed", "OpenBLAS")]
    head = ["Workload", "tokens/s", "of the limit", *peers, "first token p95 of theirs", "met"]
    rows = [_verdict(work, wanted, results) for work, wanted in WANTED.items() if (work, OURS) in results.fast]
    if not rows:
        return ""
    explained = (
        "Ratios of ours to theirs, by pairs of rounds (range); in brackets what is wanted, ✗ where it is missed."
    )
    return "\n".join([_row(head), _row(["---"] * len(head)), *map(_row, rows), "", explained])


def _verdict(work: Workload, wanted: Wanted, results: Results) -> list[str]:
    """Each cell says whether it is met; the last sums them up."""
    mine = [one.rate for one in results.fast[work, OURS].values()]
    cells = [_least(_rates(results.fast, work, LIMIT), wanted.limit)]
    for peer in PEERS:
        cells.append(_least(_rates(results.installed, work, peer_name(peer, fast=False)), wanted.installed))
        cells.append(_least(_rates(results.fast, work, peer_name(peer, fast=True)), wanted.fast[peer]))
    firsts = [_firsts(results.fast, work, peer_name(peer, fast=True)) for peer in PEERS]
    waits = [_most(values, wanted.first) for values in firsts]
    judged = [*cells, *(waits if wanted.first is not None else [])]
    met = _MISSED if any("✗" in cell for cell in judged) else _OPEN if any("?" in cell for cell in judged) else _MET
    return [work.name, shown(mine), *cells, "; ".join(waits), met]


def _rates(table: Table, work: Workload, other: str) -> list[float]:
    found = pairs(table, work, OURS, other)
    return ratios([one.rate for one, _ in found], [two.rate for _, two in found])


def _firsts(table: Table, work: Workload, other: str) -> list[float]:
    found = pairs(table, work, OURS, other)
    return ratios([one.first_p95 or 0.0 for one, _ in found], [two.first_p95 or 0.0 for _, two in found])


def _least(values: Sequence[float], wanted: float | None) -> str:
    return _judged(values, wanted, "≥", operator.ge)


def _most(values: Sequence[float], wanted: float | None) -> str:
    return _judged(values, wanted, "≤", operator.le)


def _judged(values: Sequence[float], wanted: float | None, sign: str, holds: Callable[[float, float], bool]) -> str:
    if wanted is None:
        return f"{shown(values, 2)}×" if values else "–"
    if not values:
        return f"? ({sign} {wanted:g})"
    return f"{shown(values, 2)}× ({sign} {wanted:g}{'' if holds(statistics.median(values), wanted) else ' ✗'})"


# ---- every figure


def _figures(title: str, table: Table) -> str:
    if not table:
        return ""
    head = ["Workload", "", "tokens/s", "stoker is", "first token p50", "p95", "between tokens p50", "p95", "longest"]
    works = list(dict.fromkeys(work for work, _ in table))
    rows = [_row(_figure(work, name, table)) for work in works for name in names(table, work)]
    return "\n".join([f"### {title}", "", _row(head), _row(["---"] * len(head)), *rows])


def _figure(work: Workload, name: str, table: Table) -> list[str]:
    rounds = list(table[work, name].values())
    against = _rates(table, work, name) if name != OURS else []
    times = (("first_p50", 2), ("first_p95", 2), ("gap_p50", 3), ("gap_p95", 3), ("gap_max", 2))
    cells = [shown([getattr(one, field_name) for one in rounds], digits) for field_name, digits in times]
    early = sum(one.early for one in rounds)
    rate = shown([one.rate for one in rounds]) + (f" ({early} answers ended early)" if early else "")
    return [work.name, name, rate, f"{shown(against, 2)}×" if against else "", *cells]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def curves(table: Table) -> Iterator[tuple[str, int, float]]:
    """Server, streams and median rate of the uniform workloads."""
    for (work, name), rounds in table.items():
        if (work.prompt, work.tokens, work.shared, work.mixed, work.turns) == (75, 64, 0, False, 1):
            yield name, work.streams, statistics.median(one.rate for one in rounds.values())
