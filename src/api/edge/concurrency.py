"""How many requests of one owner are in flight: counted in memory, or in Redis for several instances. Web process.

A lease in Redis ends by itself, so that an instance that was killed holds no share for ever; one that lives renews
its leases for as long as their requests take.
"""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Callable
from typing import Protocol

import gevent
import redis
from loguru import logger

from src.api import shared

LEASE_S = 60.0
_RENEWALS = 3  # within a lease: one that is lost costs no share
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

    def __init__(
        self,
        url: str,
        lease_s: float = LEASE_S,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = gevent.sleep,
    ) -> None:
        self._redis = shared.connect(url)
        self._lease_s = lease_s
        self._clock = clock
        self._sleep = sleep
        self._held: dict[str, str] = {}  # owners, by lease
        self._renewer: gevent.Greenlet | None = None

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
        self._held[lease] = owner
        if self._renewer is None:
            self._renewer = gevent.spawn(self._renew_while_held)
        return lease

    def _renew_while_held(self) -> None:
        try:
            while self._held:
                self._sleep(self._lease_s / _RENEWALS)
                self.renew()
        finally:
            self._renewer = None

    def renew(self) -> None:
        """Prolong what is held: a request may wait for longer than a lease lasts."""
        held, ends = dict(self._held), self._clock() + self._lease_s
        try:
            with self._redis.pipeline() as steps:
                for lease, owner in held.items():
                    steps.zadd(_PREFIX + owner, {lease: ends})
                    steps.expire(_PREFIX + owner, int(self._lease_s) + 1)
                steps.execute()
        except redis.RedisError as error:
            logger.warning("redis does not answer ({}); leases are not renewed", type(error).__name__)
            return
        for lease in held.keys() - self._held.keys():  # given back meanwhile
            self.give_back(held[lease], lease)

    def give_back(self, owner: str, lease: str) -> None:
        self._held.pop(lease, None)
        try:
            self._redis.zrem(_PREFIX + owner, lease)
        except redis.RedisError:
            return  # the lease ends by itself
