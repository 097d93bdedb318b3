"""A bounded store in which every owner has a share: one key's work never pushes out all that others keep.

In memory, on one event loop. `conversations` keeps responses in it, `cache_store` answers.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Generic, TypeVar

Value = TypeVar("Value")


@dataclass(frozen=True)
class _SizedValue(Generic[Value]):
    value: Value
    size: int


class _Share(Generic[Value]):
    """What one owner keeps, least recently used first."""

    def __init__(self) -> None:
        self.entries: OrderedDict[str, _SizedValue[Value]] = OrderedDict()
        self.bytes = 0

    def add(self, key: str, entry: _SizedValue[Value]) -> None:
        self.entries[key] = entry
        self.bytes += entry.size

    def remove(self, key: str) -> None:
        self.bytes -= self.entries.pop(key).size


class SharedStore(Generic[Value]):
    """Values by owner and key. Beyond a bound the owner that holds the most loses what it has not used for longest.

    So among N owners nobody loses anything to others while it holds no more than an Nth of the store.
    """

    def __init__(self, max_bytes: int, max_entries: int | None = None) -> None:
        self._max_bytes = max_bytes
        self._max_entries = max_entries
        self._shares: dict[str, _Share[Value]] = {}

    def __len__(self) -> int:
        return sum(len(share.entries) for share in self._shares.values())

    def put(self, owner: str, key: str, value: Value, size: int) -> None:
        """Keep a value, in place of an older one. One that is larger than the store is not kept."""
        self.delete(owner, key)
        if size > self._max_bytes:
            return
        self._shares.setdefault(owner, _Share()).add(key, _SizedValue(value, size))
        while self._bytes() > self._max_bytes:
            self._evict(max(self._shares, key=lambda one: self._shares[one].bytes))
        while self._max_entries is not None and len(self) > self._max_entries:
            self._evict(max(self._shares, key=lambda one: len(self._shares[one].entries)))

    def get(self, owner: str, key: str) -> Value | None:
        """The owner's value, which is used by this."""
        share = self._shares.get(owner)
        if share is None or key not in share.entries:
            return None
        share.entries.move_to_end(key)
        return share.entries[key].value

    def owner_of(self, key: str) -> str | None:
        """Whose value has this key, where keys are never used twice."""
        return next((owner for owner, share in self._shares.items() if key in share.entries), None)

    def delete(self, owner: str, key: str) -> bool:
        """Forget one; whether it was there."""
        share = self._shares.get(owner)
        if share is None or key not in share.entries:
            return False
        share.remove(key)
        if not share.entries:
            del self._shares[owner]
        return True

    def _evict(self, owner: str) -> None:
        self.delete(owner, next(iter(self._shares[owner].entries)))

    def _bytes(self) -> int:
        return sum(share.bytes for share in self._shares.values())
