"""Answers that must follow a grammar: llguidance says which tokens may come next. Compiled on the tokenizer thread.

A matcher belongs to one sequence and can be replayed from its tokens. `token_masks` runs on the owner thread, for all
constrained rows of a step together.
"""

from __future__ import annotations

from collections.abc import Sequence as Seq
from typing import Any

import numpy as np
from llguidance import LLExecutor, LLMatcher
from llguidance.numpy import allocate_token_bitmask, fill_next_token_bitmask_par


class Matcher:
    """How far one answer has come in its grammar."""

    def __init__(self, wrapped: LLMatcher) -> None:
        self.wrapped = wrapped

    def consume(self, token: int) -> None:
        """Take the next token in; after the end of the answer there is nothing to take."""
        if not self.wrapped.is_stopped():
            self.wrapped.consume_token(token)

    @property
    def problem(self) -> str | None:
        """Why the grammar cannot go on, if it cannot: a limit of its size was reached."""
        return self.wrapped.get_error() if self.wrapped.is_error() else None


_executor: list[LLExecutor] = []


def token_masks(matchers: Seq[Matcher], vocabulary: int) -> Any:
    """A row of booleans per matcher: which of `vocabulary` tokens may come next."""
    masks = allocate_token_bitmask(len(matchers), vocabulary)
    usable = [(matcher.wrapped, at) for at, matcher in enumerate(matchers) if not matcher.wrapped.is_error()]
    if usable:
        fill_next_token_bitmask_par(_pool(), usable, masks)
    return np.unpackbits(masks.view(np.uint8), axis=1, bitorder="little")[:, :vocabulary].astype(bool)


def _pool() -> LLExecutor:
    if not _executor:
        _executor.append(LLExecutor())
    return _executor[0]
