"""Each round asks every server and the bare model once, so that a change of the machine's load meets all.

Where there are several bursts, one goes before them that does not count: servers that have run for a while are
compared, not what memory costs that was never touched (the first round of 32 streams takes a fifth to a third longer).
Of closed loops and independent arrivals, which are what clients do, every round counts.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from src.bench.figures import Round
from src.bench.target import BenchTarget
from src.bench.workloads import Workload
from tests.bench.chat.plan import ARRIVALS, PEERS, Rounds
from tests.bench.chat.servers import Bare, Gone, bare, ours, peer

LIMIT = "limit"
OURS = "stoker"
_WORDS = 300
Table = dict[tuple[Workload, str], dict[int, Round]]  # by the number of the round


def run(model: Path, plan: Rounds, library: Path | None, table: Table, notes: list[str]) -> None:
    """All rounds of a plan into the table. A peer that fails is left out from there on, and the notes say so."""
    with servers(model, library, notes) as (targets, limit):
        for work, count in plan:
            asked, found = _at_its_rate(work, table, notes), Table()
            if count > 1 and work.turns == 1:
                _round(asked, -1, targets, limit, {}, notes)
            for at in range(count):
                _round(asked, at, targets, limit, found, notes)
            table.update({(work, name): rounds for (_, name), rounds in found.items()})


def _at_its_rate(work: Workload, table: Table, notes: list[str]) -> Workload:
    """Independent arrivals come at a share of what the better peer reached in a closed loop before, or else ours."""
    if work.rate is None:
        return work
    reached = {
        name: statistics.median(one.rate for one in found.values()) / other.tokens
        for (other, name), found in table.items()
        if (other.turns, other.rate, other.prompt, other.tokens) == (work.turns, None, work.prompt, work.tokens)
    }
    if not reached:
        raise Gone(f"{work.name}: no closed loop of this size was measured before it")
    capacity = max((rate for name, rate in reached.items() if name != OURS), default=reached[OURS])
    _note(
        notes, f"{work.name}: {ARRIVALS * capacity:.2f} requests/s, {ARRIVALS:.0%} of {capacity:.2f} in a closed loop"
    )
    return replace(work, rate=ARRIVALS * capacity)


@contextmanager
def servers(model: Path, library: Path | None, notes: list[str]) -> Iterator[tuple[list[BenchTarget], Bare]]:
    with ExitStack() as stack:
        targets = [stack.enter_context(ours(model))]
        for module in PEERS:
            with noted(notes, f"{module}.server"):
                targets.append(stack.enter_context(peer(module, model, library)))
        yield targets, stack.enter_context(bare(model))


@contextmanager
def noted(notes: list[str], what: str) -> Iterator[None]:
    """What is `Gone` is left out, and the notes say so."""
    try:
        yield
    except Gone as error:
        _note(notes, f"{what} is left out: {error}")


def _round(work: Workload, at: int, targets: list[BenchTarget], limit: Bare, table: Table, notes: list[str]) -> None:
    began = time.monotonic()
    if not (work.shared or work.mixed or work.turns > 1):
        table.setdefault((work, LIMIT), {})[at] = of_rate(limit.rate(work))
    first = at % len(targets)
    for target in (*targets[first:], *targets[:first]):
        found = target.round(work, at)
        if not found.failures:
            table.setdefault((work, target.name), {})[at] = found
        elif target.name == OURS:
            raise Gone(f"{OURS}, {work.name}: {found.failures}")
        else:
            targets.remove(target)
            _note(notes, f"{target.name} is left out from “{work.name}” on: {found.failures}")
    sys.stderr.write(f"{work.name}: round {at + 1}, {time.monotonic() - began:.0f} s\n")


def of_rate(rate: float) -> Round:
    """A round of which only the rate is known."""
    return Round(rate, None, None, None, None, None, 0, None, 0, 0, {})


def _note(notes: list[str], text: str) -> None:
    """Whole for who looks on, its beginning for the result."""
    notes.append(" ".join(text.split())[:_WORDS])
    sys.stderr.write(f"{text}\n")


def pairs(table: Table, work: Workload, one: str, other: str) -> list[tuple[Round, Round]]:
    """The rounds that both were in."""
    ones, others = table.get((work, one), {}), table.get((work, other), {})
    return [(ones[at], others[at]) for at in sorted(ones.keys() & others.keys())]


def names(table: Table, work: Workload) -> Sequence[str]:
    return [name for found, name in table if found == work]
