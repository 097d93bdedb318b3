"""A server that is measured: what it calls its model, which optional fields it takes, how its prompts come out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from src.bench.figures import Round, round_of
from src.bench.http import ServerAddress, http_request
from src.bench.own import BenchError
from src.bench.stream import Outcome, ask, error_text
from src.bench.workloads import Prompts, Workload

_LIST_S = 30.0
_UNKNOWN_FIELD = ("400", "422")
_PROBE_TOKENS = 4  # tokens of the answer that shows whether it works
# what is left out where a server refuses it, the likelier first
_OMITTED_FIELDS: tuple[tuple[str, ...], ...] = (
    (),
    ("ignore_eos",),
    ("stream_options",),
    ("ignore_eos", "stream_options"),
)


class _Model(msgspec.Struct):
    id: str


class _Models(msgspec.Struct):
    data: list[_Model]


@dataclass(frozen=True)
class BenchTarget:
    """One server with one model. `without`: fields it refuses; `notes`: what a reader of its figures must know."""

    name: str
    place: ServerAddress
    model: str
    prompts: Prompts = field(default_factory=Prompts)
    timeout_s: float = 300.0
    without: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def round(self, work: Workload, at: int) -> Round:
        """All requests of a round, each when its workload says; a shared prefix is warmed before, uncounted."""
        bodies = [self.shaped(body) for body in self.prompts.bodies(work, self.model, at)]
        if work.shared:
            self.ask([bodies.pop()])
        turns = 1 if work.rate is not None else work.turns
        clients = [bodies[first : first + turns] for first in range(0, len(bodies), turns)]
        return round_of(self._ask_all(clients, work.arrivals(at)), [body["max_tokens"] for body in bodies])

    def ask(self, bodies: Sequence[dict[str, Any]]) -> list[Outcome]:
        """These requests at once."""
        return self._ask_all([[body] for body in bodies], [0.0] * len(bodies))

    def _ask_all(self, clients: Sequence[Sequence[dict[str, Any]]], arrivals: Sequence[float]) -> list[Outcome]:
        """Each client begins when it arrives, and asks one request after another."""

        async def client(bodies: Sequence[dict[str, Any]], arrival: float, start: float) -> list[Outcome]:
            await asyncio.sleep(arrival)
            return [await ask(self.place, body, start, self.timeout_s) for body in bodies]

        async def all_of() -> list[list[Outcome]]:
            start = time.perf_counter()
            asked = zip(clients, arrivals, strict=True)
            return await asyncio.gather(*[client(bodies, arrival, start) for bodies, arrival in asked])

        return [outcome for outcomes in asyncio.run(all_of()) for outcome in outcomes]

    def shaped(self, body: dict[str, Any]) -> dict[str, Any]:
        """As this server takes it, its answer as long as it may be."""
        return {name: value for name, value in (body | {"ignore_eos": True}).items() if name not in self.without}


def ready(target: BenchTarget, prompt: int) -> BenchTarget:
    """The target as it is to be asked: found out with a short answer to a prompt of that size.

    Raises:
        Unusable: it does not answer.
    """
    why = ""
    for without in _OMITTED_FIELDS:
        tried = replace(target, without=(*target.without, *without))
        (body,) = target.prompts.bodies(Workload(1, prompt, _PROBE_TOKENS), target.model, 0)
        (seen,) = tried.ask([tried.shaped(body)])
        if seen.failure is None:
            if seen.usage is not None:
                target.prompts.fit(prompt, seen.usage.prompt_tokens)
            return replace(tried, notes=(*target.notes, *_notes(without, seen)))
        why = seen.failure
        if not why.startswith(_UNKNOWN_FIELD):
            break
    raise BenchError(f"{target.name} answers no chat: {why}{_hint(why)}")


def _notes(without: tuple[str, ...], seen: Outcome) -> list[str]:
    found = []
    if "ignore_eos" in without:
        found.append("refuses ignore_eos: answers vary in length")
    if seen.usage is None:
        found.append("tells no usage: events with text are counted as tokens, and prompt sizes are about right at best")
    return found


def first_model(name: str, place: ServerAddress) -> str:
    """The one a server lists first.

    Raises:
        Unusable: it lists none.
    """
    try:
        return asyncio.run(asyncio.wait_for(_listed(place), _LIST_S))
    except (OSError, EOFError, ValueError) as error:
        why = str(error) or type(error).__name__
        raise BenchError(f"{name} lists no models: {why}{_hint(why) or ' (--model names one)'}") from None


def _hint(why: str) -> str:
    return " (BENCH_API_KEYS holds the keys)" if why.startswith("401") else ""


async def _listed(place: ServerAddress) -> str:
    async with http_request(place, "/v1/models") as reply:
        body = await reply.whole()
        if reply.status != 200:
            raise ValueError(f"{reply.status}: {error_text(body)}")
    found = msgspec.json.decode(body, type=_Models).data
    if not found:
        raise ValueError("the list is empty")
    return found[0].id
