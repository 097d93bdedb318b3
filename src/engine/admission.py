"""Who may join the batch: pure policy, asked by the scheduler for the first that waits."""

from __future__ import annotations

from collections.abc import Iterable

from src.engine.backend import KvRoom
from src.engine.sequence import Sequence
from src.engine.tokens import common_prefix

# an earlier prompt has to save at least so many tokens to be waited for
_WORTH_WAITING = 64
_KV_STEP = 256  # caches grow by so many tokens at a time


def fits_memory(running: list[int], new: int, room: KvRoom | None) -> bool:
    """May a sequence that can grow to `new` tokens join those that can grow to `running`?

    A batch is padded to its longest row. One alone always may: what can never fit was refused by its length.
    """
    if room is None or not running:
        return True
    longest = -(-max([*running, new]) // _KV_STEP) * _KV_STEP
    return (len(running) + 1) * (longest * room.token_bytes + room.row_bytes) <= room.limit_bytes


def waits_for_prefix(sequence: Sequence, known: int | None, in_prefill: Iterable[Sequence]) -> bool:
    """Whether another is computing what this prompt begins with, beyond what is `known` (None: nothing is kept).

    It waits no longer than it would compute that itself, and then has it for nothing.
    """
    if known is None:
        return False
    return any(_ahead(sequence, known, other) for other in in_prefill if other.request.salt == sequence.request.salt)


def _ahead(sequence: Sequence, known: int, other: Sequence) -> bool:
    shared = min(common_prefix(sequence.prompt, other.prompt), len(sequence.prompt) - 1, len(other.prompt) - 1)
    return shared - known >= _WORTH_WAITING and len(other.prompt) - other.prefill_left < shared
