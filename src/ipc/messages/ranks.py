"""Between the ranks of one model: rank 0, the engine, tells the others what it does, on their standard input; what they
answer, on their standard output, is how far they are and what memory they hold.
"""

from __future__ import annotations

from typing import Literal

from src.ipc.messages.base import Message
from src.ipc.messages.status import MemoryReading


class PrepareRank(Message, frozen=True):
    """The first: what model, under which settings (names of the environment). The reply is `RankPrepared`."""

    rank: int
    ranks: int
    address: str
    model: str
    settings: dict[str, str]


class RankPrepared(Message, frozen=True):
    """What this rank has: its MLX, a fingerprint of its model files, a free port. `problem`: why it cannot serve."""

    mlx_version: str = ""
    files: str = ""
    port: int = 0
    problem: str | None = None


class JoinRanks(Message, frozen=True):
    """Join the others and load: the variables of MLX's distributed backend, and files that some of them must name."""

    variables: dict[str, str]
    files: dict[str, str]
    ranks_here: int


class RankAlive(Message, frozen=True):
    """Twice a second, whatever the rank is doing."""

    memory: MemoryReading


class RankInsert(Message, frozen=True):
    """A sequence enters; `uid` is the one that it has on rank 0."""

    uid: int
    prompt: list[int]
    max_tokens: int
    salt: str


class RankStep(Message, frozen=True):
    """One step. `previous`: what the last one gave on rank 0, as a checksum: other ranks must have the same. 0: not
    compared."""

    prefill: int | None
    previous: int


class RankRemove(Message, frozen=True):
    """Sequences leave before their end."""

    uids: list[int]


class RankTidy(Message, frozen=True):
    """Free memory; `evict`: half of the prefix cache, too."""

    evict: bool


class RankMove(Message, frozen=True):
    """Offload the weights, or restore them."""

    to: Literal["cpu", "gpu"]


RankCommand = RankInsert | RankStep | RankRemove | RankTidy | RankMove
