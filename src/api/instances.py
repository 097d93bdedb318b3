"""Which instances there are: each announces itself in Redis every few seconds, and is forgotten when it no longer does.

Web process: `run` in a greenlet of its own; read by the routes of status and models (`?all=true`). Without REDIS_URL
there is this one alone.
"""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Callable

import gevent
import msgspec
import redis
from loguru import logger

from src.api import shared
from src.catalog import CatalogEntry
from src.ipc.messages.status import SystemStatus
from src.settings import Settings
from src.state import ids

_EVERY_S, _LIVES_S = 5.0, 16
_NAMES, _PREFIX = "stoker:instances", "stoker:instance:"


class AnnouncedModel(msgspec.Struct, frozen=True):
    """As its instance's catalogue has it."""

    id: str
    context_length: int | None = None
    capabilities: tuple[str, ...] = ()


class Announced(msgspec.Struct, frozen=True):
    """What an instance says of itself. `status`: None while its supervisor does not answer."""

    name: str
    status: SystemStatus | None
    models: tuple[AnnouncedModel, ...]
    mark: str = ""  # of its STATE_DIR, as in the ids of what it keeps there


def public_name(name: str) -> str:
    """What an instance is called where hosts and ports are nobody's affair: always the same for it."""
    return f"instance-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


_decode = msgspec.msgpack.Decoder(Announced).decode


class Instances:
    """One per web process. `name` is this instance's, by its host and port."""

    def __init__(
        self,
        settings: Settings,
        status: Callable[[], SystemStatus | None],
        catalog: Callable[[], dict[str, CatalogEntry]],
    ) -> None:
        self.name = f"{socket.gethostname()}:{settings.port}"
        self._mark = ids.mark_of(settings.state_path)
        self._status, self._catalog = status, catalog
        self._redis = shared.connect(settings.redis_url) if settings.redis_url else None
        self._silent = False
        self.seen = 1  # this one included, when it last announced itself

    def run(self) -> None:
        while self._redis is not None:
            self.announce(self._redis)
            self.seen = 1 if self._silent else 1 + len(self.others())
            gevent.sleep(_EVERY_S)

    def here(self) -> Announced:
        models = (AnnouncedModel(one.name, one.context_length, one.capabilities) for one in self._catalog().values())
        return Announced(self.name, self._status(), tuple(models), self._mark)

    def announce(self, store: redis.Redis) -> None:
        value = msgspec.msgpack.encode(self.here())
        try:
            with store.pipeline() as steps:
                steps.set(_PREFIX + self.name, value, ex=_LIVES_S)
                steps.sadd(_NAMES, self.name)
                steps.execute()
        except redis.RedisError as error:
            if not self._silent:
                logger.warning("redis does not answer ({}); other instances do not see this one", type(error).__name__)
            self._silent = True
        else:
            self._silent = False

    def others(self) -> list[Announced]:
        """By name; none while Redis does not answer."""
        if self._redis is None:
            return []
        try:
            return sorted(self._read(self._redis), key=lambda one: one.name)
        except redis.RedisError as error:
            logger.warning("redis does not answer ({}); other instances are not shown", type(error).__name__)
            return []

    def keeper_of(self, sought: str) -> str | None:
        """The instance with another STATE_DIR that made this id, if it is there."""
        mark = ids.mark_in(sought)
        if mark in (None, self._mark):
            return None
        return next((one.name for one in self.others() if one.mark == mark), None)

    def _read(self, store: redis.Redis) -> list[Announced]:
        known = (str(name, "utf-8") for name in store.smembers(_NAMES) if isinstance(name, bytes))
        names = [name for name in known if name != self.name]
        values = store.mget([_PREFIX + name for name in names]) if names else []
        if gone := [name for name, value in zip(names, values, strict=True) if value is None]:
            store.srem(_NAMES, *gone)
        found = (_announced(value) for value in values if isinstance(value, bytes))
        return [one for one in found if one is not None]


def _announced(value: bytes) -> Announced | None:
    """None of another version's that says it otherwise."""
    try:
        return _decode(value)
    except msgspec.DecodeError:
        return None
