"""Finished responses that any instance can be asked for: as `ResponseMemory`, in Redis, for RESPONSE_TTL.

A key's responses share RESPONSE_STORE_MB there: its oldest make room. While Redis does not answer, those made meanwhile
are kept by this instance alone, and one that is not here cannot be looked for: an error that passes, not a missing
response. Web process; made by `response_input`.
"""

from __future__ import annotations

from typing import Any

import msgspec
import redis
from loguru import logger

from src.api import shared
from src.api.openai import response_store
from src.api.openai.response_store import ResponseMemory, Stored
from src.api.openai.schemas_responses import ResponseOut
from src.errors import BackendUnavailable

_RETRY_S = 5.0
_PREFIX = "stoker:response:"
_ORDER, _HELD = "stoker:responses:", "stoker:responses-bytes:"
# keys: the response, its owner's in their order ("bytes:id"), its owner's bytes
_PUT = """
redis.call('SET', KEYS[1], ARGV[1])
if redis.call('EXISTS', KEYS[2], KEYS[3]) < 2 then  -- the first, or a full Redis has evicted one of them
  local bytes = 0
  for _, one in ipairs(redis.call('LRANGE', KEYS[2], 0, -1)) do bytes = bytes + string.match(one, '^%d+') end
  redis.call('SET', KEYS[3], bytes)
end
redis.call('RPUSH', KEYS[2], #ARGV[1] .. ':' .. ARGV[2])
local held = redis.call('INCRBY', KEYS[3], #ARGV[1])
while held > tonumber(ARGV[3]) do
  local oldest = redis.call('LPOP', KEYS[2])
  if not oldest then break end
  local size, id = string.match(oldest, '^(%d+):(.*)$')
  redis.call('DEL', ARGV[5] .. id)
  held = redis.call('DECRBY', KEYS[3], size)
end
if tonumber(ARGV[4]) > 0 then
  for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, ARGV[4]) end
end
"""
_DELETE = """
local size = redis.call('STRLEN', KEYS[1])
redis.call('DEL', KEYS[1])
if redis.call('LREM', KEYS[2], 1, size .. ':' .. ARGV[1]) > 0 then redis.call('DECRBY', KEYS[3], size) end
"""


class _Kept(msgspec.Struct, frozen=True):
    owner: str
    response: ResponseOut
    items: list[dict[str, Any]]


_decode = msgspec.json.Decoder(_Kept).decode


class SharedResponses:
    """One per web process. `memory`: what Redis could not be told.

    What is asked for and is not in it raises BackendUnavailable while Redis does not answer.
    """

    def __init__(self, url: str, memory: ResponseMemory, max_bytes: int, ttl_s: float) -> None:
        self._redis = shared.connect(url)
        self._put, self._delete = map(self._redis.register_script, (_PUT, _DELETE))
        self._memory, self._max_bytes, self._ttl_ms = memory, max_bytes, int(ttl_s * 1000)

    def put(self, owner: str, response: ResponseOut, items: list[dict[str, Any]]) -> None:
        value = msgspec.json.encode(_Kept(owner, response, items))
        if len(value) > self._max_bytes:
            return
        try:
            self._put(_keys(owner, response.id), [value, response.id, self._max_bytes, self._ttl_ms, _PREFIX])
        except redis.RedisError as error:
            logger.warning("redis does not answer ({}); this instance alone keeps a response", type(error).__name__)
            self._memory.put(owner, response, items)

    def get(self, owner: str, response_id: str) -> Stored | None:
        if (local := self._memory.get(owner, response_id)) is not None:
            return local
        found = self._found(response_id)
        return Stored(found.response, found.items) if found is not None and found.owner == owner else None

    def item(self, owner: str, item_id: str) -> dict[str, Any] | None:
        return response_store.item_in(self, owner, item_id)

    def owner_of(self, response_id: str) -> str | None:
        if (local := self._memory.owner_of(response_id)) is not None:
            return local
        found = self._found(response_id)
        return None if found is None else found.owner

    def delete(self, owner: str, response_id: str) -> bool:
        if self._memory.delete(owner, response_id):
            return True
        if self.get(owner, response_id) is None:
            return False
        try:
            self._delete(_keys(owner, response_id), [response_id])
        except redis.RedisError as error:
            raise _away(error) from None
        return True

    def _found(self, response_id: str) -> _Kept | None:
        try:
            value = self._redis.get(_PREFIX + response_id)
        except redis.RedisError as error:
            raise _away(error) from None
        try:
            return _decode(value) if isinstance(value, bytes) else None
        except msgspec.DecodeError:
            return None  # another version's


def _away(error: redis.RedisError) -> BackendUnavailable:
    logger.warning("redis does not answer ({}); a response cannot be looked for", type(error).__name__)
    text = "Stored responses cannot be looked for now (their store does not answer). Ask again."
    return BackendUnavailable(text, retry_after_s=_RETRY_S)


def _keys(owner: str, response_id: str) -> list[str]:
    return [_PREFIX + response_id, _ORDER + owner, _HELD + owner]
