"""How likely texts are to a model: the log-probability of each of their tokens after those before it. Owner thread.

Texts are padded on the right: what comes later changes nothing for a causal model. The logits of a step's columns are
computed in slices, so that a wide vocabulary does not multiply what a step holds.
"""

from __future__ import annotations

from collections.abc import Sequence as Seq
from typing import Any

import mlx.core as mx
import numpy as np
from mlx_lm.models.cache import make_prompt_cache

from src.engine.backend import TextScores
from src.engine.mlx.scores import RowScores, Scores
from src.engine.mlx.text.vocabulary import Vocabulary
from src.ipc.messages.chat import Alternative, TokenLogprob

_MAX_LOGITS = 1 << 26  # numbers of one slice: 256 MiB as float32
_LIKELIEST = -1  # in the place of a target: whatever token is the likeliest


class PromptScorer:
    """Scores texts with a loaded model. `greedy`: whether the likeliest token is what temperature 0 takes."""

    def __init__(self, model: Any, vocabulary: Vocabulary, ends: frozenset[int], *, greedy: bool) -> None:
        self._model, self._vocabulary = model, vocabulary
        self._ends, self._greedy = ends, greedy

    def begin(self, texts: Seq[Seq[int]], top: int) -> PromptPass:
        return PromptPass(self, self._model, self._vocabulary, texts, min(top, self._vocabulary.size))

    def result(self, text: Seq[int], scores: list[TokenLogprob]) -> TextScores:
        """With what follows the last token, and the first one that follows none."""
        first = TokenLogprob(Alternative(text[0], self._vocabulary.text_of(text[0]), 0.0))
        *own, following = scores
        ends = following.chosen.token in self._ends
        return TextScores((first, *own), following if self._greedy else None, ends)


class PromptPass:
    """Some texts on their way through the model, together."""

    def __init__(
        self, scorer: PromptScorer, model: Any, vocabulary: Vocabulary, texts: Seq[Seq[int]], top: int
    ) -> None:
        self._scorer, self._model, self._vocabulary = scorer, model, vocabulary
        self._cache = make_prompt_cache(model)
        self._texts, self._top = texts, top
        self._done, self._columns = 0, max(map(len, texts))
        self._slice = max(1, _MAX_LOGITS // (len(texts) * vocabulary.size))
        padded = np.zeros((len(texts), self._columns + 1), np.int32)
        for row, text in enumerate(texts):
            padded[row, : len(text)] = text
            padded[row, len(text)] = _LIKELIEST
        self._tokens, self._targets = mx.array(np.maximum(padded[:, :-1], 0)), padded[:, 1:]
        self._scores: list[list[TokenLogprob]] = [[] for _ in texts]

    @property
    def left(self) -> int:
        """Columns that are still to be computed."""
        return self._columns - self._done

    def compute(self, columns: int) -> None:
        end = min(self._done + columns, self._columns)
        while self._done < end:
            self._compute_slice(self._done, min(end, self._done + self._slice))

    def scores(self) -> list[TextScores]:
        return [self._scorer.result(text, scores) for text, scores in zip(self._texts, self._scores, strict=True)]

    def _compute_slice(self, begin: int, end: int) -> None:
        logits = self._model(self._tokens[:, begin:end], cache=self._cache)
        logits = logits.reshape(-1, logits.shape[-1])
        targets = mx.array(self._targets[:, begin:end].reshape(-1))
        targets = mx.where(targets == _LIKELIEST, mx.argmax(logits, axis=-1).astype(mx.int32), targets)
        scores = Scores(logits, targets, self._top)
        mx.eval(scores.arrays, [each.state for each in self._cache])
        for row, text in enumerate(self._texts):
            line = row * (end - begin)
            for at in range(min(end, len(text)) - begin):
                self._scores[row].append(self._vocabulary.logprob(RowScores(scores, line + at, self._top)))
        self._done = end
