"""Whose work waits because its key is not known here, and for how long. Pure; asked by the feeders of one worker.

The instance that works may learn of a key later than the one that took the request, and a key may be removed by
mistake: work of an absent key waits for a while before it is cancelled.
"""

from __future__ import annotations

from collections.abc import Callable

GRACE_S = 300.0


class AbsentKeys:
    """`is_known`: whether there is a valid key of this name; "" is everybody without keys."""

    def __init__(self, is_known: Callable[[str], bool]) -> None:
        self._is_known = is_known
        self._since: dict[str, float] = {}

    def is_absent(self, owner: str, now: float) -> bool:
        """Whether its work may not be begun now; counted from when this was first said."""
        if self._is_known(owner):
            self._since.pop(owner, None)
            return False
        self._since.setdefault(owner, now)
        return True

    def is_gone(self, owner: str, now: float) -> bool:
        """Whether it has been absent for so long that its work is to be cancelled."""
        return self.is_absent(owner, now) and now - self._since[owner] >= GRACE_S
