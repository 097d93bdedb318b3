"""Where kept answers lie: in this process, or in Redis for several instances. Web process; used by `cache`."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

import redis
from loguru import logger

_WAIT_S = 1.0
_PREFIX = "stoker:answer:"


class Store(Protocol):
    """Bytes by key; what is old or too much is forgotten."""

    def get(self, key: str) -> bytes | None: ...
    def put(self, key: str, value: bytes) -> None: ...


class MemoryStore:
    """Least recently used goes first. One event loop, no locks."""

    def __init__(self, most: int, most_bytes: int, ttl_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._ttl_s = ttl_s
        self._clock = clock
        self._kept: OrderedDict[str, tuple[float, bytes]] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: str) -> bytes | None:
        until, value = self._kept.get(key, (0.0, b""))
        if key not in self._kept:
            return None
        if until <= self._clock():
            self._forget(key)
            return None
        self._kept.move_to_end(key)
        return value

    def put(self, key: str, value: bytes) -> None:
        self._forget(key)
        self._kept[key] = (self._clock() + self._ttl_s, value)
        self._bytes += len(value)
        while len(self._kept) > self._most or self._bytes > self._most_bytes:
            self._forget(next(iter(self._kept)))

    def _forget(self, key: str) -> None:
        if key in self._kept:
            self._bytes -= len(self._kept.pop(key)[1])


class RedisStore:
    """Shared by all instances. Redis bounds its own memory (maxmemory); when it fails, nothing is found."""

    def __init__(self, url: str, ttl_s: float) -> None:
        self._redis = redis.Redis.from_url(url, socket_timeout=_WAIT_S, socket_connect_timeout=_WAIT_S)
        self._ttl_ms = int(ttl_s * 1000)

    def get(self, key: str) -> bytes | None:
        try:
            found = self._redis.get(_PREFIX + key)
        except redis.RedisError as error:
            logger.warning("redis does not answer ({}); nothing is found in the cache", type(error).__name__)
            return None
        return found if isinstance(found, bytes) else None

    def put(self, key: str, value: bytes) -> None:
        try:
            self._redis.set(_PREFIX + key, value, px=self._ttl_ms)
        except redis.RedisError as error:
            logger.warning("redis does not answer ({}); an answer is not kept", type(error).__name__)
