"""A small model that guesses for a large one of the same vocabulary. Owner thread.

Its rows are a batch of their own, one step behind: what it feeds first at each guess are the tokens that the large
model chose since. A row that is far behind (a new prompt, or a while without guesses) catches up alone, a chunk a step,
and does not guess until then.
"""

from __future__ import annotations

from collections.abc import Sequence as Seq
from dataclasses import dataclass, field, replace
from typing import Any

import mlx.core as mx
from mlx_lm.models.cache import make_prompt_cache

from src.engine.mlx import ragged
from src.engine.mlx.sampling import BatchSampler, SamplingRow
from src.engine.mlx.speculation.batch import SpeculativeRow
from src.engine.tokens import common_prefix

# tokens a row may be behind those it shares a batch with
_BEHIND = 16

Cache = list[Any]


@dataclass
class _DraftRow:
    """What of a row is in its cache: so many tokens, of which so many are the row's; behind them were guesses.

    `order` is that of its first tokens, where they do not stand as they came.
    """

    size: int = 0
    valid: int = 0
    guesses: list[int] = field(default_factory=list)
    order: ragged.Order | None = None

    def settle(self, line: SpeculativeRow) -> None:
        """See what came of the guesses. The last token is always computed anew: what follows it is asked for."""
        right = common_prefix(self.guesses, line.since(self.valid)) if self.guesses else 0
        self.valid = min(self.valid + right, line.length - 1)
        self.guesses = []


class DraftModel:
    """Guesses with the model's own sampler: the same seeds and positions give the likelier agreement."""

    def __init__(self, model: Any, vocabulary: int, chunk: int) -> None:
        self._model = model
        self._vocabulary = vocabulary
        self._chunk = chunk
        self._alone: dict[int, Cache] = {}  # rows that catch up
        self._held: dict[int, _DraftRow] = {}
        self._uids: list[int] = []  # rows of the batch
        self._cache: Cache = []

    @property
    def nbytes(self) -> int:
        return int(sum(layer.nbytes for cache in (self._cache, *self._alone.values()) for layer in cache))

    def reach(self, lines: Seq[SpeculativeRow]) -> list[int]:
        budget = self._chunk
        for line in lines:
            held = self._held.setdefault(line.uid, _DraftRow())
            held.settle(line)
            if line.uid in self._uids and line.length - held.valid > _BEHIND:
                self._leave(line.uid, held)
            if line.uid not in self._uids:
                budget -= self._catch_up(line, held, budget)
        return [line.limit if line.uid in self._uids else 0 for line in lines]

    def guess(self, lines: Seq[SpeculativeRow], most: int) -> list[list[int]]:
        known = {line.uid: line for line in lines}
        self.keep(list(known))
        made = dict(zip(self._uids, self._drafted([known[uid] for uid in self._uids], most), strict=True))
        return [made.get(line.uid, [])[: line.limit] for line in lines]

    def is_predicted(self, uid: int) -> bool:
        del uid  # it reads no predictions
        return False

    def keep(self, uids: Seq[int]) -> None:
        self._alone = {uid: cache for uid, cache in self._alone.items() if uid in uids}
        self._held = {uid: held for uid, held in self._held.items() if uid in uids}
        self._keep([uid for uid in self._uids if uid in uids])

    def _drafted(self, lines: list[SpeculativeRow], most: int) -> list[list[int]]:
        tokens = self._clipped(self._news(lines))
        made: list[mx.array] = []
        for n in range(most):
            logits = self._model(tokens, cache=self._cache)[:, -1, : self._vocabulary]
            sampler = BatchSampler([_moved(line.row, n) for line in lines], [[]] * len(lines), logits.shape[-1])
            made.append(sampler.choose(logits, tokens[:, -1]))
            tokens = made[-1][:, None]
        guesses: Any = mx.stack(made, axis=1).tolist()
        for line, guess in zip(lines, guesses, strict=True):
            held = self._held[line.uid]
            held.size, held.valid, held.guesses = line.length + most - 1, line.length, guess[:-1]
        return list(guesses)

    def _news(self, lines: list[SpeculativeRow]) -> list[list[int]]:
        """The tokens of each row from where the furthest behind is: no padding, and wrong guesses are taken back."""
        held = [self._held[line.uid] for line in lines]
        news = max(line.length - each.valid for line, each in zip(lines, held, strict=True))
        stay = [line.length - news for line in lines]
        for at, (each, n) in enumerate(zip(held, stay, strict=True)):
            if each.order is not None and n < len(each.order):
                self._put_in_order(at, each)  # else it would lose others than its last
        gaps = ragged.take_back(self._cache, [each.size - n for each, n in zip(held, stay, strict=True)], stay)
        for each, n, gap in zip(held, stay, gaps, strict=True):
            if gap:
                each.order = ragged.reordered(each.order, gap, n)
        return [line.since(n) for line, n in zip(lines, stay, strict=True)]

    def _catch_up(self, line: SpeculativeRow, held: _DraftRow, budget: int) -> int:
        """Compute some of a row's tokens; how many. It joins the batch when there are few left."""
        if line.length <= _BEHIND:
            return 0  # so short that it could not share the others' news
        cache = self._alone.setdefault(line.uid, make_prompt_cache(self._model))
        news = line.since(held.valid)[: min(budget, line.length - 1 - held.valid)]
        if news:
            self._model(self._clipped([news]), cache=cache)
            mx.eval([layer.state for layer in cache])
            held.valid += len(news)
            held.size = held.valid
        if line.length - held.valid <= _BEHIND:
            self._join(line.uid, self._alone.pop(line.uid))
        return len(news)

    def _clipped(self, rows: list[list[int]]) -> mx.array:
        """Ids clipped to this model's: the large one may have more, which no tokenizer knows but a client can send."""
        return mx.minimum(mx.array(rows), self._vocabulary - 1)

    def _join(self, uid: int, cache: Cache) -> None:
        merged = [layer.merge([layer]) for layer in cache]
        for layer, new in zip(self._cache, merged, strict=bool(self._cache)):
            layer.extend(new)
        self._cache = self._cache or merged
        self._uids.append(uid)

    def _leave(self, uid: int, held: _DraftRow) -> None:
        """A row of the batch goes on alone, with its tokens in order."""
        at = self._uids.index(uid)
        self._put_in_order(at, held)
        self._alone[uid] = [layer.extract(at) for layer in self._cache]
        for layer in self._alone[uid]:
            layer.trim(held.size - held.valid)
        held.size = held.valid
        self._keep([other for other in self._uids if other != uid])

    def _put_in_order(self, at: int, held: _DraftRow) -> None:
        if held.order is not None:
            ragged.put_in_order(self._cache, at, held.order, held.size)
            held.order = None

    def _keep(self, uids: list[int]) -> None:
        """Of the batch."""
        if uids == self._uids:
            return
        places = [self._uids.index(uid) for uid in uids]
        self._uids = uids
        if not uids:
            self._cache = []
        for layer in self._cache:
            layer.filter(mx.array(places))


def _moved(row: SamplingRow, steps: int) -> SamplingRow:
    """As the row will be; ids of a bias may be beyond this model's."""
    return replace(row, made=row.made + steps, bias=())
