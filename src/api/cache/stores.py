"""Where kept answers lie: in this process, or in Redis for several instances. Web process; used by `cache`."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple, Protocol

import redis
from loguru import logger

from src.api import shared
from src.api.cache.shares import SharedStore

_PREFIX = "stoker:answer:"


class CacheKey(NamedTuple):
    """Whose answer it is, and what was asked; `digest` covers the owner too."""

    owner: str
    digest: str


class Store(Protocol):
    """Bytes by key; what is old or too much is forgotten."""

    def get(self, key: CacheKey) -> bytes | None: ...
    def put(self, key: CacheKey, value: bytes) -> None: ...


class MemoryStore:
    """Least recently used goes first, of the owner that keeps the most. One event loop, no locks."""

    def __init__(self, most: int, most_bytes: int, ttl_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._ttl_s = ttl_s
        self._clock = clock
        self._kept: SharedStore[tuple[float, bytes]] = SharedStore(most_bytes, most)

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: CacheKey) -> bytes | None:
        kept = self._kept.get(*key)
        if kept is None:
            return None
        until, value = kept
        if until <= self._clock():
            self._kept.delete(*key)
            return None
        return value

    def put(self, key: CacheKey, value: bytes) -> None:
        self._kept.put(*key, (self._clock() + self._ttl_s, value), len(value))


class RedisStore:
    """Shared by all instances. Redis bounds its own memory (maxmemory); when it fails, nothing is found."""

    def __init__(self, url: str, ttl_s: float) -> None:
        self._redis = shared.connect(url)
        self._ttl_ms = int(ttl_s * 1000)

    def get(self, key: CacheKey) -> bytes | None:
        try:
            found = self._redis.get(_PREFIX + key.digest)
        except redis.RedisError as error:
            logger.warning("redis does not answer ({}); nothing is found in the cache", type(error).__name__)
            return None
        return found if isinstance(found, bytes) else None

    def put(self, key: CacheKey, value: bytes) -> None:
        try:
            self._redis.set(_PREFIX + key.digest, value, px=self._ttl_ms)
        except redis.RedisError as error:
            logger.warning("redis does not answer ({}); an answer is not kept", type(error).__name__)
