"""What only this service is asked: a long prompt among streams, a schema's cost, a long queue's."""

from __future__ import annotations

import asyncio
import itertools
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from src.bench.figures import Round, round_of
from src.bench.stream import Outcome, ask
from src.bench.target import BenchTarget
from src.bench.workloads import Workload
from tests.bench.chat.plan import Alone
from tests.bench.chat.rounds import noted
from tests.bench.chat.servers import ROUND_S, Bare, Gone, bare, ours

_POLL_S = 0.01
_BESIDE = 16  # tokens each stream has before the long prompt comes
_STEPS = 16  # of the bare model, for the time of one
# any sampling can follow it, and none ends it before max_tokens
_SCHEMA = {
    "type": "array",
    "minItems": 500,
    "items": {
        "type": "object",
        "properties": {
            "id": {"type": "integer", "minimum": 0, "maximum": 9999},
            "name": {"type": "string", "maxLength": 20},
            "kind": {"enum": ["ship", "train", "plane"]},
        },
        "required": ["id", "name", "kind"],
        "additionalProperties": False,
    },
}
_FORM = {"type": "json_schema", "json_schema": {"name": "list", "strict": True, "schema": _SCHEMA}}


@dataclass(frozen=True)
class Joined:
    """A long prompt among streams: their longest gap before it and while it is computed; the bare model's times."""

    before: float
    during: float
    chunk: float
    step: float


@dataclass
class Found:
    """Every round's; of a schema the rates of plain answers and of those by it."""

    joined: list[Joined] = field(default_factory=list)
    forms: list[tuple[float, float]] = field(default_factory=list)
    queues: dict[int, list[Round]] = field(default_factory=dict)


def run(model: Path, plan: Alone, found: Found, notes: list[str]) -> None:
    """What fails is left out, and the notes say so: it is no reason to lose the rest."""
    with ours(model) as target, bare(model) as limit:
        for at in range(plan.rounds):
            with noted(notes, "A long prompt among streams"):
                found.joined.append(joined(target, limit, plan))
            with noted(notes, "The cost of a schema"):
                found.forms.append(_forms(target, Workload(plan.streams, 75, plan.tokens), at))
            _say(f"a long prompt, a schema: round {at + 1}")
        for at, count in itertools.product(range(plan.queue_rounds), plan.queues):
            with noted(notes, f"A queue of {count}"):
                found.queues.setdefault(count, []).append(_asked(target, Workload(count, 75, 64), at, {}))
            _say(f"{count} requests at once: round {at + 1}")


def _forms(target: BenchTarget, work: Workload, at: int) -> tuple[float, float]:
    """Rates of plain answers and of those by the schema, by turns the first."""
    both: tuple[dict[str, Any], ...] = ({}, {"response_format": _FORM})
    first, second = (_asked(target, work, at, form).rate for form in (both[::-1] if at % 2 else both))
    return (second, first) if at % 2 else (first, second)


def _asked(target: BenchTarget, work: Workload, at: int, form: dict[str, Any]) -> Round:
    """A round with something more in every request; all answers have their full length."""
    bodies = [target.shaped(body | form) for body in target.prompts.bodies(work, target.model, at)]
    found = round_of(target.ask(bodies), [body["max_tokens"] for body in bodies])
    if found.failures or found.early:
        raise Gone(f"{target.name}, {work.name}: {found.early} ended early, {found.failures}")
    return found


def joined(target: BenchTarget, limit: Bare, plan: Alone) -> Joined:
    work, late = Workload(plan.streams, 75, plan.tokens), Workload(1, plan.long, 4)
    bodies = [target.shaped(body) for body in target.prompts.bodies(work, target.model, 0)]
    (long,) = (target.shaped(body) for body in target.prompts.bodies(late, target.model, 0))
    running, came = asyncio.run(_join(target, bodies, long))
    if came.first is None or any(one.failure for one in (*running, came)):
        raise Gone(f"{target.name}: a long prompt among streams: {[one.failure for one in (*running, came)]}")
    if any(one.last is None or one.last < came.first for one in running):
        raise Gone(f"{target.name}: streams ended before the long prompt was computed")
    bare_prompt, bare_step = limit.seconds(1, plan.long, 1), limit.seconds(plan.streams, 75, _STEPS)
    settled = max((one.first or 0.0) + one.gaps[0] for one in running)  # no prompt of theirs is computed any more
    return Joined(
        longest(running, settled, came.began),
        longest(running, came.began, came.first),
        bare_prompt.chunk,
        bare_step.decode / _STEPS,
    )


async def _join(
    target: BenchTarget, bodies: Sequence[dict[str, Any]], long: dict[str, Any]
) -> tuple[list[Outcome], Outcome]:
    """The streams, and the one that came when all of them had begun."""
    start = time.perf_counter()
    seen = [Outcome() for _ in bodies]
    tasks = [
        asyncio.create_task(ask(target.place, body, start, ROUND_S, one))
        for body, one in zip(bodies, seen, strict=True)
    ]
    while any(one.events < _BESIDE and not task.done() for one, task in zip(seen, tasks, strict=True)):  # noqa: ASYNC110
        await asyncio.sleep(_POLL_S)  # bounded: each task has its deadline
    came = await ask(target.place, long, start, ROUND_S)
    return await asyncio.gather(*tasks), came


def longest(outcomes: Sequence[Outcome], begin: float, end: float) -> float:
    """The longest gap that ended after `begin` and began before `end`; of several streams, their median.

    Who waits for a prompt waits with all others. One that waits alone got tokens whose text is no whole character yet.
    """
    return statistics.median(_longest(one, begin, end) for one in outcomes)


def _longest(one: Outcome, begin: float, end: float) -> float:
    gaps, at = [0.0], one.first or 0.0
    for gap in one.gaps:
        if at + gap > begin and at < end:
            gaps.append(gap)
        at += gap
    return max(gaps)


def lines(found: Found) -> list[str]:
    """As Markdown; only what was measured."""
    return [*_joined_lines(found.joined), *_schema_lines(found.forms), *_queue_lines(found.queues)]


def _joined_lines(rounds: Sequence[Joined]) -> list[str]:
    if not rounds:
        return []
    before, during, chunk, step = (
        statistics.median(getattr(one, name) for one in rounds) for name in ("before", "during", "chunk", "step")
    )
    share = statistics.median(one.during / (one.chunk + one.step) for one in rounds)
    return [
        f"* A long prompt among streams: their longest gap is {during:.3f} s while it is computed, {before:.3f} s "
        f"before. The bare model takes at most {chunk:.3f} s for a chunk of 512 of that prompt and {step:.3f} s for a "
        f"step of all streams; the gap is {share:.0%} of both together (medians of {len(rounds)}; wanted: one chunk "
        "at most)."
    ]


def _schema_lines(forms: Sequence[tuple[float, float]]) -> list[str]:
    if not forms:
        return []
    costs = [1 - by_schema / plain for plain, by_schema in forms]
    return [
        f"* Answers by a JSON schema cost {statistics.median(costs):.0%} of the throughput "
        f"({min(costs):.0%} to {max(costs):.0%} in {len(costs)} pairs of rounds; wanted: 15 % at most)."
    ]


def _queue_lines(queues: dict[int, list[Round]]) -> list[str]:
    costs = {count: statistics.median(1000 / one.rate for one in rounds) for count, rounds in queues.items() if rounds}
    if not costs:
        return []
    first, last = min(costs), max(costs)
    told = ", ".join(f"{count}: {cost:.2f}" for count, cost in costs.items())
    return [
        f"* Milliseconds per output token, by requests at once (75 + 64 each): {told}. From {first} to {last} it is "
        f"{costs[last] / costs[first]:.2f}× (wanted: 1 at most, so that time grows no faster than the queue)."
    ]


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
