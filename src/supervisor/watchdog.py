"""Whether to feed systemd's watchdog: not when a heartbeat timed out and the supervisor has not acted on it.

Pure policy, used by `children.py`. A child that is down is no reason to stop feeding: the supervisor is restarting it,
and a restart of the whole service would stop the web process that reports why.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

_MARGIN_S = 10.0


@dataclass(frozen=True)
class HeartbeatAge:
    """Time since a ready child's last heartbeat, and the timeout after which it is replaced."""

    child: str
    age_s: float
    timeout_s: float


def overdue(ages: Iterable[HeartbeatAge]) -> list[str]:
    """The children whose heartbeat timed out more than _MARGIN_S ago."""
    return [heartbeat_age.child for heartbeat_age in ages if heartbeat_age.age_s > heartbeat_age.timeout_s + _MARGIN_S]
