"""A batch that computes guessed tokens beside the certain one, and keeps those that the model chooses too.

Owner thread. What is chosen depends on logits, seed and position alone (`sampling`), so a guess is right when it is
what the sampler chooses there: the text is what it would be without guesses, at any temperature. Rows with penalties,
a grammar or log-probabilities have no guesses; they decode in the same batch.
"""

from __future__ import annotations

import time
from collections.abc import Sequence as Seq
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import mlx.core as mx
from mlx_lm.models.cache import make_prompt_cache

from src.engine.mlx import ragged
from src.engine.mlx.batch import RowBatch
from src.engine.mlx.lm_batches import Finish
from src.engine.mlx.sampling import BatchSampler, SamplingRow
from src.engine.mlx.speculation.depth import Costs, Rate, speculation_depth
from src.engine.tokens import common_prefix
from src.ipc.messages.chat import PredictionUsage
from src.ipc.messages.status import SpeculationReading

# positions of the step by which the cost of one is measured; how often, and for how long at most
_WIDE, _TIMES, _MEASURE_S = 16, 12, 0.5


@dataclass
class SpeculativeRow:
    """A row that may guess: its tokens so far, the last of which is not computed yet, and up to how many guesses."""

    uid: int
    tokens: list[int]
    last: int
    row: SamplingRow
    limit: int

    @property
    def length(self) -> int:
        return len(self.tokens) + 1

    def since(self, place: int) -> list[int]:
        """The tokens from `place` on."""
        return [*self.tokens[place:], self.last] if place < self.length else []


class Drafter(Protocol):
    """Guesses how rows go on."""

    @property
    def nbytes(self) -> int:
        """Keys and values it holds."""
        ...

    def reach(self, lines: Seq[SpeculativeRow]) -> list[int]:
        """How many tokens it could guess for each; asked when guesses would pay."""
        ...

    def guess(self, lines: Seq[SpeculativeRow], most: int) -> list[list[int]]:
        """Up to `most` tokens for each of the lines that were just asked about."""
        ...

    def is_predicted(self, uid: int) -> bool:
        """Whether the row's last guesses came from what its request predicts."""
        ...

    def keep(self, uids: Seq[int]) -> None:
        """Forget all other rows."""
        ...


@dataclass
class Speculator:
    """What a batch guesses with, and what came of it. One for the life of a model on the device."""

    drafter: Drafter
    most: int
    costs: Costs
    _count: SpeculationReading = field(default_factory=SpeculationReading)
    _predictions: dict[int, PredictionUsage] = field(default_factory=dict)

    def count(self, guesses: Seq[list[int]], right: Seq[int]) -> None:
        """A step is over."""
        drafts, tokens = sum(map(bool, guesses)), sum(map(len, guesses))
        self._count += SpeculationReading(drafts, tokens, sum(right))

    def take_count(self) -> SpeculationReading:
        """What was guessed since this was last asked."""
        count, self._count = self._count, SpeculationReading()
        return count

    def count_prediction(self, uid: int, guessed: int, kept: int) -> None:
        """A row has kept so many of its guesses, if they came from a prediction."""
        if guessed and self.drafter.is_predicted(uid):
            self._predictions[uid] = PredictionUsage(kept, guessed - kept)

    def take_predictions(self) -> dict[int, PredictionUsage]:
        """What of the last step's guesses came from predictions, by row."""
        found, self._predictions = self._predictions, {}
        return found


@dataclass
class _History:
    """How a row's guesses went, and in which order its tokens stand in the cache."""

    rate: Rate = field(default_factory=Rate)
    order: ragged.Order | None = None


class SpeculativeBatch(RowBatch):
    """Rows of which each gets one token a step, or several."""

    _speculator: Speculator
    _histories: dict[int, _History]

    @classmethod
    def start(cls, model: Any, speculator: Speculator) -> SpeculativeBatch:
        """A batch without rows."""
        batch: SpeculativeBatch = cls.empty(model, None)
        batch._speculator, batch._histories = speculator, {}
        return batch

    def next(self) -> list[Any]:
        """A step. Without guesses it is an ordinary one, which computes on while its tokens are put into text."""
        if not self.uids:
            return []
        for uid in self.uids:
            self._histories.setdefault(uid, _History())
        guesses = self._guesses()
        if any(guesses):
            return self._verify(guesses)
        for history in self._histories.values():
            history.rate.add(0, 0)
        replies: list[Any] = super().next()
        return replies

    @property
    def extra_bytes(self) -> int:
        return self._speculator.drafter.nbytes

    def filter(self, keep: list[int]) -> None:
        super().filter(keep)
        self._histories = {uid: self._histories[uid] for uid in self.uids if uid in self._histories}
        self._speculator.drafter.keep(self.uids)

    def extract_cache(self, idx: int) -> list[Any]:
        self.put_in_order(idx)
        cache: list[Any] = super().extract_cache(idx)
        return cache

    def put_in_order(self, at: int) -> None:
        history = self._histories.get(self.uids[at])
        if history is not None and history.order is not None:
            ragged.put_in_order(self.prompt_cache, at, history.order, len(self.tokens[at]))
            history.order = None

    def _guesses(self) -> list[list[int]]:
        """For each row; rows that may not guess, and all where it does not pay, have none."""
        limits = {at: limit for at in range(len(self.uids)) if (limit := self._limit(at)) > 0}
        guesses: list[list[int]] = [[] for _ in self.uids]
        if not self._depth(limits):
            return guesses
        known: Any = self.pending.tolist()
        lines = [
            SpeculativeRow(self.uids[at], self.tokens[at], known[at], self.samplers[at], n) for at, n in limits.items()
        ]
        most = self._depth(dict(zip(limits, self._speculator.drafter.reach(lines), strict=True)))
        if most:
            for at, guess in zip(limits, self._speculator.drafter.guess(lines, most), strict=True):
                guesses[at] = guess
        return guesses

    def _depth(self, could: dict[int, int]) -> int:
        """How far to guess, when these rows could so far."""
        rated = [(most, self._histories[self.uids[at]].rate.value) for at, most in could.items()]
        return speculation_depth(len(self.uids), rated, self._speculator.costs)

    def _limit(self, at: int) -> int:
        """Guesses a row may have: the last token of an answer needs none."""
        row = self.samplers[at]
        if row.penalised or row.matcher is not None or row.logprobs is not None:
            return 0
        return min(self._speculator.most, self.tokens_left(at) - 1)

    def _verify(self, guesses: list[list[int]]) -> list[Any]:
        inputs, scores = self.pending, self.pending_scores
        known: Any = inputs.tolist()
        choices, logits = self._choose(inputs, known, guesses)
        right = [common_prefix(guess, chosen) for guess, chosen in zip(guesses, choices, strict=True)]
        self._speculator.count(guesses, right)
        pending = mx.array([chosen[n] for chosen, n in zip(choices, right, strict=True)], mx.uint32)
        self.set_pending(pending, self._score(logits, pending))
        made = [[token, *guess[:n]] for token, guess, n in zip(known, guesses, right, strict=True)]
        for row, n, uid, guess in zip(self.samplers, right, self.uids, guesses, strict=True):
            row.made += n
            self._histories[uid].rate.add(len(guess), n)
        return self._report(made, scores, guesses)

    def _choose(self, inputs: mx.array, known: list[int], guesses: list[list[int]]) -> tuple[list[list[int]], mx.array]:
        """What the sampler chooses behind each row's certain token and behind each of its guesses."""
        width = 1 + max(map(len, guesses))
        wide = [[token, *guess, *[0] * (width - 1 - len(guess))] for token, guess in zip(known, guesses, strict=True)]
        began = self._settle("", 0.0, inputs)
        logits = self.model(mx.array(wide), cache=self.prompt_cache)
        began = self._settle("forward", began, logits)
        sampler = self._sampler_for(logits.shape[-1])
        first = sampler.choose(logits[:, 0], inputs)
        places = [(at, n) for at, guess in enumerate(guesses) for n in range(1, 1 + len(guess))]
        rows = [replace(self.samplers[at], made=self.samplers[at].made + n) for at, n in places]
        behind = BatchSampler(rows, [[]] * len(rows), logits.shape[-1])
        lines, columns = (mx.array(each) for each in zip(*places, strict=True))
        more = behind.choose(logits[lines, columns], mx.array([wide[at][n] for at, n in places]))
        self._settle("sample", began, more)
        sampler.advance()
        mx.eval(first, more)
        certain: Any = first.tolist()
        guessed: Any = more.tolist()
        chosen = [[token] for token in certain]
        for (at, _), token in zip(places, guessed, strict=True):
            chosen[at].append(token)
        return chosen, logits[:, 0]

    def _report(self, made: list[list[int]], scores: list[Any], guesses: list[list[int]]) -> list[Any]:
        """Report each row's new tokens, up to its end; tokens behind that, and rejected guesses, leave the cache."""
        width = 1 + max(map(len, guesses))
        ends = [self._cut(at, tokens) for at, tokens in enumerate(made)]
        for uid, held, tokens, guess in zip(self.uids, self.tokens, made, guesses, strict=True):
            held.extend(tokens)
            self._speculator.count_prediction(uid, len(guess), len(tokens) - 1)
        lengths = [len(held) for held in self.tokens]
        gaps = ragged.take_back(self.prompt_cache, [width - len(tokens) for tokens in made], lengths)
        for uid, gap, length in zip(self.uids, gaps, lengths, strict=True):
            if gap:
                history = self._histories[uid]
                history.order = ragged.reordered(history.order, gap, length)
        replies = [
            reply for at, tokens in enumerate(made) for reply in self.responses(at, tokens, ends[at], scores[at])
        ]
        if any(ends):
            self.filter([at for at, end in enumerate(ends) if end is None])
        return replies

    def _cut(self, at: int, tokens: list[int]) -> Finish | None:
        """Count a row's new tokens; those behind its end are dropped. Why it ends, if it does."""
        for n, token in enumerate(tokens, 1):
            if (end := self.count_token(at, token)) is not None:
                del tokens[n:]
                return end
        return None


def measure(model: Any) -> Costs:
    """What a step of this model costs, by short and wide ones."""
    cache = make_prompt_cache(model)

    def seconds(positions: int) -> float:
        """The shortest of some: the first of its shape takes longer, and so do those that others' work disturbs."""
        tokens, times = mx.zeros((1, positions), mx.int32), [0.0]
        while len(times) < 3 or (len(times) < _TIMES and sum(times) < _MEASURE_S):
            began = time.perf_counter()
            mx.eval(model(tokens, cache=cache))
            times.append(time.perf_counter() - began)
        return min(times[1:])

    one, wide = seconds(1), seconds(_WIDE)
    position = max(wide - one, 0.0) / (_WIDE - 1)
    return Costs(max(one - position, 0.0), position)
