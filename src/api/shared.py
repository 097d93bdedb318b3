"""The way to Redis, which several instances share (REDIS_URL). Web process; for limits, cache, responses, instances.

Whoever asks goes on without it: it may be gone at any time.
"""

from __future__ import annotations

import redis

_WAIT_S = 1.0


def connect(url: str) -> redis.Redis:
    """Connects when it is first asked; raises `redis.RedisError` from there on."""
    return redis.Redis.from_url(url, socket_timeout=_WAIT_S, socket_connect_timeout=_WAIT_S)
