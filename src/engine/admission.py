"""Who joins the batch, and how much of which prompts a step computes, so that no running answer waits long. Pure
policy; asked by the scheduler and by an engine's batches.
"""

from __future__ import annotations

from collections.abc import Iterable

from src.engine.backend import KvRoom
from src.engine.sequence import Sequence
from src.engine.tokens import common_prefix

# an earlier prompt has to save at least so many tokens to be waited for
_WORTH_WAITING = 64
_KV_STEP = 256  # caches grow by so many tokens at a time


def in_steps(tokens: int) -> int:
    """Tokens that a cache has room for when it holds so many."""
    return -(-tokens // _KV_STEP) * _KV_STEP


def fits_memory(running: list[int], new: int, room: KvRoom | None) -> bool:
    """May a sequence that can grow to `new` tokens join those that can grow to `running`?

    A batch is padded to its longest row. One alone always may: what can never fit was refused by its length.
    """
    if room is None or not running:
        return True
    longest = in_steps(max([*running, new]))
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


_SHARES = 4


def chunk(lefts: list[int], budget: int) -> int:
    """Tokens of each row in a step's chunk of prompts, given what each has left to compute.

    A chunk is padded to its longest row, so rows × this is what it costs. It is as long as the shortest has left, so
    that little is padded; a long prompt gets a quarter of the budget though, whatever joins it.
    """
    if not lefts:
        return budget
    wanted = max(min(lefts), budget // _SHARES)
    return max(1, min(wanted, max(lefts), budget // len(lefts)))


def fits_prefill(in_prefill: list[int], new: int, budget: int) -> bool:
    """May a prompt with `new` tokens left join those that have `in_prefill` left?

    When together they waste little of a chunk; and one of half a long one's length or less overtakes it. A prompt's
    last token is computed with its answer's first, and takes no part in chunks.
    """
    others = [left - 1 for left in in_prefill if left > 1]
    if not others or new <= 1:
        return True
    rows, share = len(others) + 1, budget // _SHARES
    longest, shortest = max(*others, new - 1), min(*others, new - 1)
    overtakes = 2 * new <= longest and rows <= _SHARES
    return overtakes or rows * min(max(shortest, share), longest) <= budget
