"""What the ranks of a model agree on, one process each: who they are, rank 0's tokens, the least room. Owner thread.

Without a group, which is how most engines run, everything is this process's own. Whatever is exchanged stands on the
stream of what it depends on: beside pending sums on another stream, ranks would read each other's numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mlx.core as mx

_joined: list[Any] = []  # this process's group, once it is in one


def join(transport: str) -> Any:
    """Join the ranks that the environment names; waits for them."""
    _joined[:] = [mx.distributed.init(strict=True, backend=transport)]
    return _joined[0]


def agreed_tokens(choose: Callable[[], mx.array], logits: mx.array) -> mx.array:
    """The next token of each row: rank 0 chooses, the others add nothing to it."""
    if not _joined:
        return choose()
    if _joined[0].rank() == 0:
        mine = choose().astype(mx.uint32)
    else:  # behind the sums that the logits are made of: all ranks must exchange in one order
        mine = mx.depends([mx.zeros(logits.shape[0], mx.uint32)], [logits])[0]
    return mx.distributed.all_sum(mine, group=_joined[0])


def least(values: list[int]) -> list[int]:
    """Of each number, the smallest that a rank has."""
    if not _joined:
        return values
    found: Any = mx.distributed.all_min(mx.array(values, mx.int64), group=_joined[0]).tolist()
    return [int(value) for value in found]
