"""How many requests of one owner are in flight: counted in memory, or in Redis for several instances. Web process.

A lease in Redis ends by itself, so that an instance that was killed holds no share for ever.
"""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Callable
from typing import Protocol

import redis
from loguru import logger

_WAIT_S = 1.0
_PREFIX = "stoker:flight:"


class Leases(Protocol):
    """`take` before the work, `give_back` after it."""

    def take(self, owner: str, limit: int) -> str | None:
        """A lease's name; None when `limit` are out."""

    def give_back(self, owner: str, lease: str) -> None: ...


class MemoryLeases:
    """For one instance. One event loop, no locks."""

    def __init__(self) -> None:
        self._out: Counter[str] = Counter()

    def take(self, owner: str, limit: int) -> str | None:
        if self._out[owner] >= limit:
            return None
        self._out[owner] += 1
        return owner

    def give_back(self, owner: str, lease: str) -> None:  # noqa: ARG002  # all leases of an owner are alike here
        self._out[owner] -= 1
        if self._out[owner] <= 0:
            del self._out[owner]


class RedisLeases:
    """Shared by all instances: a sorted set per owner, scored by the time a lease ends. Fails open."""

    def __init__(self, url: str, lease_s: float, clock: Callable[[], float] = time.time) -> None:
        self._redis = redis.Redis.from_url(url, socket_timeout=_WAIT_S, socket_connect_timeout=_WAIT_S)
        self._lease_s = lease_s
        self._clock = clock

    def take(self, owner: str, limit: int) -> str | None:
        lease, key, now = uuid.uuid4().hex, _PREFIX + owner, self._clock()
        try:
            with self._redis.pipeline() as steps:  # MULTI/EXEC: the count includes ours and is nobody else's
                steps.zremrangebyscore(key, "-inf", now)
                steps.zadd(key, {lease: now + self._lease_s})
                steps.zcard(key)
                steps.expire(key, int(self._lease_s) + 1)
                out = int(steps.execute()[2])
        except redis.RedisError as error:
            logger.warning("redis does not answer ({}); requests in flight are not counted", type(error).__name__)
            return lease
        if out > limit:
            self.give_back(owner, lease)
            return None
        return lease

    def give_back(self, owner: str, lease: str) -> None:
        try:
            self._redis.zrem(_PREFIX + owner, lease)
        except redis.RedisError:
            return  # the lease ends by itself
