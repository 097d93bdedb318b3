"""Which models are on the device, and who makes room for whom: pure policy over a snapshot of all models.

`models.py` asks it after everything that happens and carries out what it says. Requests that wait are grouped by
model: one that comes in takes all of its own with it, and a busy one keeps its place for a turn before others get it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from src.gpu.lifecycle import IdleTimes, Location, idle_move

# who has just been answered often asks again at once: a swap would cost them more than this
_LINGER_S = 0.1


@dataclass
class ModelSlot:
    """One model. `target` is where it is on its way to; `ordered`, where somebody wants it once its requests end.

    `wanted`: it is to be on the device though nobody waits for it, where there is room. `running`: requests that use
    it; `oldest`: since when the longest waiting one waits; `since`: when it came to the device. Seconds on one clock.
    """

    name: str
    size: int = 0
    pinned: bool = False
    location: Location = "unloaded"
    target: Location | None = None
    ordered: Location | None = None
    wanted: bool = False
    running: int = 0
    waiting: int = 0
    oldest: float = 0.0
    last_used: float = 0.0
    since: float = 0.0

    @property
    def holds(self) -> bool:
        """Whether it takes room on the device, now or soon."""
        return self.location == "gpu" or self.target == "gpu"

    @property
    def present(self) -> bool:
        """Whether there is a process for it, or one is just made or ended."""
        return self.location != "unloaded" or self.target is not None

    @property
    def leaving(self) -> bool:
        return self.location == "gpu" and self.target in ("cpu", "unloaded")

    @property
    def busy(self) -> bool:
        return self.running + self.waiting > 0

    @property
    def hungry(self) -> bool:
        return self.waiting > 0 and self.location != "gpu" and self.target is None


@dataclass(frozen=True)
class ResidencyLimits:
    """What bounds all models together. `after_request`: leave the device as soon as nothing runs."""

    on_device: int
    warm: int
    memory_bytes: int
    turn_s: float
    idle: IdleTimes
    after_request: bool = False


@dataclass
class Decision:
    """What to do now: models whose waiting requests get in, models to move, models for which there can be no room."""

    admit: list[str] = field(default_factory=list)
    move: dict[str, Location] = field(default_factory=dict)
    refuse: list[str] = field(default_factory=list)


def decide(places: Iterable[ModelSlot], limits: ResidencyLimits, now: float, *, pressed: bool = False) -> Decision:
    """One round. `pressed`: an engine is over its memory limit, so whoever is idle leaves the device."""
    table = list(places)
    decision = Decision()
    closed = _make_room(table, limits, now, decision)
    for place in table:
        if place.location != "gpu" or place.target is not None:
            continue
        if place.ordered is not None or place.name in closed:
            _leave_when_free(place, decision)
        elif place.waiting:
            decision.admit.append(place.name)
    _rest(table, limits, now, decision, pressed=pressed)
    return decision


def _make_room(table: list[ModelSlot], limits: ResidencyLimits, now: float, decision: Decision) -> set[str]:
    """Bring in who is waited for, longest wait first; the names of those that must not take in more requests."""
    closed: set[str] = set()
    holding = [place for place in table if place.holds and not place.leaving]
    going = [place for place in table if place.leaving]
    for hungry in sorted((place for place in table if place.hungry), key=lambda place: place.oldest):
        if _fits(hungry, [*holding, *going], limits):
            decision.move[hungry.name] = "gpu"
            holding.append(hungry)
            continue
        victims = _victims(hungry, holding, limits)
        if victims is None:
            decision.refuse.append(hungry.name)
            continue
        for victim in victims:
            over = now >= max(victim.since, hungry.oldest) + limits.turn_s
            if over or (not victim.busy and now >= victim.last_used + _LINGER_S):
                closed.add(victim.name)
        # its room is spoken for: who comes later in this round must find another's
        holding = [place for place in holding if place not in victims] + [hungry]
    _bring_wanted(table, holding, going, limits, decision)
    return closed


def _bring_wanted(
    table: list[ModelSlot],
    holding: list[ModelSlot],
    going: list[ModelSlot],
    limits: ResidencyLimits,
    decision: Decision,
) -> None:
    """Those that belong on the device, pinned ones first: nobody leaves for them."""
    absent = [place for place in table if place.wanted and place.location != "gpu" and place.target is None]
    for place in sorted(absent, key=lambda place: not place.pinned):
        if place.waiting:
            continue  # it comes for those who wait
        if not _fits(place, [other for other in holding if other.pinned], limits):
            decision.refuse.append(place.name)
        elif _fits(place, [*holding, *going], limits):
            decision.move[place.name] = "gpu"
            holding.append(place)


def _victims(hungry: ModelSlot, holding: list[ModelSlot], limits: ResidencyLimits) -> list[ModelSlot] | None:
    """Who leaves for it, idle ones first, then the least recently used; None if all together are not enough."""
    movable = [place for place in holding if not place.pinned and place.location == "gpu"]
    stay = list(holding)
    victims: list[ModelSlot] = []
    for candidate in sorted(movable, key=lambda place: (place.busy, place.last_used)):
        if _fits(hungry, stay, limits):
            break
        stay.remove(candidate)
        victims.append(candidate)
    # what is on its way in now will be movable when it has come
    settled = [place for place in stay if place.pinned]
    if _fits(hungry, stay, limits):
        return victims
    return victims if _fits(hungry, settled, limits) else None


def _fits(model: ModelSlot, others: list[ModelSlot], limits: ResidencyLimits) -> bool:
    """Alone it may always try: the engine itself knows best what it needs."""
    used = sum(place.size for place in others)
    return not others or (len(others) < limits.on_device and used + model.size <= limits.memory_bytes)


def _leave_when_free(place: ModelSlot, decision: Decision) -> None:
    if not place.running:
        decision.move[place.name] = place.ordered or "cpu"


def _rest(table: list[ModelSlot], limits: ResidencyLimits, now: float, decision: Decision, *, pressed: bool) -> None:
    """Those nobody waits for: idle times, orders, and how many may stay warm."""
    for place in table:
        if place.target is not None or place.busy or place.name in decision.move:
            continue
        to = place.ordered or idle_move(
            place.location, now - place.last_used, limits.idle, busy=False, pinned=place.pinned
        )
        if place.location == "gpu" and to == "gpu" and not place.pinned and (limits.after_request or pressed):
            to = "cpu"
        if to != place.location and not (to == "cpu" and place.location == "unloaded"):
            decision.move[place.name] = to
    warm = [place for place in table if place.location == "cpu" and place.target is None and not place.busy]
    warm = [place for place in warm if place.name not in decision.move]
    for place in sorted(warm, key=lambda place: place.last_used)[: max(0, len(warm) - limits.warm)]:
        decision.move[place.name] = "unloaded"
