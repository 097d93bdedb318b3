"""How many of what a year has, and on which of its days the updates fall."""

from __future__ import annotations

from dataclasses import dataclass

_DAYS, _UPDATES, _ROLLING, _RETENTION = 400, 52, 50, 30


@dataclass(frozen=True)
class Plan:
    """`days`: each has a rotation of the logs and a change of keys. `rolling`: updates of both instances in turn."""

    days: int
    updates: int
    rolling: int
    retention_days: int

    def updates_before(self, day: int) -> bool:
        """Whether a new revision of the model comes on this day, from 1 on; they are spread evenly."""
        return day * self.updates // self.days > (day - 1) * self.updates // self.days


def plan(share: float) -> Plan:
    """A share of a year, and of each of its counts."""
    return Plan(*(max(1, round(count * share)) for count in (_DAYS, _UPDATES, _ROLLING, _RETENTION)))
