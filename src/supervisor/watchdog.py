"""Whether systemd's watchdog may be fed: not when a heartbeat is overdue and the supervisor has not acted on it.

Pure, used by `main.py`. A child that is down is no reason to stop feeding: the supervisor is at work on it, and a
restart of everything would take the web away that says why.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

_MARGIN_S = 10.0


@dataclass(frozen=True)
class Silence:
    """How long a child that counts as ready has not answered, and when the supervisor gives it up."""

    child: str
    silent_s: float
    patience_s: float


def overdue(silences: Iterable[Silence]) -> list[str]:
    """The children whose silence has outlasted the supervisor's patience by more than a moment."""
    return [silence.child for silence in silences if silence.silent_s > silence.patience_s + _MARGIN_S]
