"""A model over several ranks as one `Backend`: what the scheduler asks of rank 0 is told to the others first, so that
all compute the same steps. Rank 0 alone knows requests, draws tokens, follows grammars and stops. Owner thread.
"""

from __future__ import annotations

from collections.abc import Sequence as Seq

import msgspec

from src.engine.backend import Backend, Grammar, KvRoom, Step, Tokenizer
from src.engine.ranks.followers import Followers
from src.engine.ranks.steps import UNCOMPARED, checksum
from src.gpu.watermarks import footprint
from src.ipc.messages.chat import Sampling
from src.ipc.messages.ranks import RankInsert, RankMove, RankRemove, RankStep, RankTidy
from src.ipc.messages.status import DeviceReading, KvReading, MemoryReading, ModelInfo, PrefixReading


class RankedBackend:
    """Rank 0's part, and the followers'."""

    name = "mlx"
    embedder = None  # a pass of theirs would be rank 0's alone
    scorer = None

    def __init__(self, own: Backend, followers: Followers, ranks: int) -> None:
        self._own = own
        self._followers = followers
        self._previous = UNCOMPARED
        self.info: ModelInfo = msgspec.structs.replace(own.info, ranks=ranks)

    @property
    def device(self) -> DeviceReading:
        return self._own.device

    @property
    def tokenizer(self) -> Tokenizer:
        return self._own.tokenizer

    @property
    def end_tokens(self) -> frozenset[int]:
        return self._own.end_tokens

    @property
    def kv_room(self) -> KvRoom | None:
        return self._own.kv_room

    def cached_prefix_length(self, prompt: list[int], salt: str) -> int | None:
        return self._own.cached_prefix_length(prompt, salt)

    def load_prefix(self, prompt: list[int], salt: str, seconds: float) -> bool:
        """Ranks keep nothing on disk: how much is read would depend on the time that each takes."""
        del prompt, salt, seconds
        return False

    def insert(
        self,
        prompt: list[int],
        max_tokens: int,
        sampling: Sampling,
        prefix: int = 0,
        grammar: Grammar | None = None,
        salt: str = "",
        media: object | None = None,
        prediction: Seq[int] = (),
    ) -> int:
        del prediction  # ranks guess nothing
        uid = self._own.insert(prompt, max_tokens, sampling, prefix, grammar, salt, media)
        self._followers.send(RankInsert(uid, prompt, max_tokens, salt))
        return uid

    def step(self, prefill: int | None = None) -> Step:
        self._followers.send(RankStep(prefill, self._previous))
        step = self._own.step(prefill)
        self._previous = checksum(step)
        if step.failed:  # rank 0 has removed them, and their tokens: it alone has their grammars
            self._previous = UNCOMPARED
            self._followers.send(RankRemove(list(step.failed)))
        return step

    def remove(self, uids: list[int]) -> None:
        self._followers.send(RankRemove(uids))
        self._own.remove(uids)

    def tidy(self) -> None:
        self._followers.send(RankTidy(evict=False))
        self._own.tidy()

    def trim(self) -> None:
        self._followers.send(RankTidy(evict=True))
        self._own.trim()

    def to_host(self) -> None:
        self._followers.send(RankMove("cpu"))
        self._own.to_host()

    def to_device(self) -> None:
        self._followers.send(RankMove("gpu"))
        self._own.to_device()

    def memory(self) -> MemoryReading:
        """Of the host whose ranks hold the most: each has a budget of its own."""
        hosts = self._followers.memory_by_host()
        hosts[""].append(self._own.memory())
        return max(map(_sum, hosts.values()), key=footprint)

    def caches(self) -> tuple[KvReading | None, PrefixReading | None]:
        return self._own.caches()

    def close(self) -> None:
        self._own.close()
        self._followers.close()


def _sum(readings: Seq[MemoryReading]) -> MemoryReading:
    """Of the ranks of one host."""
    if len(readings) == 1:
        return readings[0]
    figures = [msgspec.structs.asdict(each) for each in readings]
    totals = {name: _total([each[name] for each in figures]) for name in figures[0]}
    return msgspec.convert(totals, MemoryReading)


def _total(values: list[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
