"""Which models are on the device, and which are evicted for others: pure policy over a snapshot of all models.

`models.py` calls it after every event and carries out the decision. Waiting requests are grouped by model: a model that
is loaded admits all of its requests, and a busy one keeps the device for a turn (MODEL_TURN) before it is evicted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from src.gpu.lifecycle import IdleTimes, Location, idle_move

# a client that was just answered often sends its next request at once: a swap would cost it more than this
_LINGER_S = 0.1


@dataclass
class ModelSlot:
    """One model. `target`: where it is being moved; `requested`: where to move it once its requests have finished.

    `wanted`: load it even without requests, if there is room. `running`: requests that use it; `oldest`: arrival of the
    longest waiting one; `since`: when it was loaded on the device. Seconds on one clock.
    """

    name: str
    size: int = 0
    pinned: bool = False
    location: Location = "unloaded"
    target: Location | None = None
    requested: Location | None = None
    wanted: bool = False
    running: int = 0
    waiting: int = 0
    oldest: float = 0.0
    last_used: float = 0.0
    since: float = 0.0

    @property
    def occupies_device(self) -> bool:
        """Whether it uses device memory, now or soon."""
        return self.location == "gpu" or self.target == "gpu"

    @property
    def has_process(self) -> bool:
        """Whether it has a process, starting and stopping ones included."""
        return self.location != "unloaded" or self.target is not None

    @property
    def evicting(self) -> bool:
        """Whether it leaves the device; a load that was given up holds memory too, until its process has ended."""
        given_up = self.location == self.target == "unloaded"
        return given_up or (self.location == "gpu" and self.target in ("cpu", "unloaded"))

    @property
    def busy(self) -> bool:
        return self.running + self.waiting > 0

    @property
    def needs_device(self) -> bool:
        return self.waiting > 0 and self.location != "gpu" and self.target is None


@dataclass(frozen=True)
class ResidencyLimits:
    """Limits over all models. `after_request`: offload as soon as nothing runs."""

    on_device: int
    warm: int
    memory_bytes: int
    turn_s: float
    idle: IdleTimes
    after_request: bool = False


@dataclass
class Decision:
    """What to do now: models whose waiting requests are admitted, models to move, models that cannot fit."""

    admit: list[str] = field(default_factory=list)
    move: dict[str, Location] = field(default_factory=dict)
    refuse: list[str] = field(default_factory=list)


def decide(
    slots: Iterable[ModelSlot], limits: ResidencyLimits, now: float, *, memory_pressure: bool = False
) -> Decision:
    """Decide once. `memory_pressure`: an engine is over its memory limit, so idle models are offloaded."""
    table = list(slots)
    decision = Decision()
    not_admitting = _make_room(table, limits, now, decision)
    for slot in table:
        if slot.location != "gpu" or slot.target is not None:
            continue
        if slot.requested is not None or slot.name in not_admitting:
            _evict_when_idle(slot, decision)
        elif slot.waiting:
            decision.admit.append(slot.name)
    _evict_idle(table, limits, now, decision, memory_pressure=memory_pressure)
    return decision


def _make_room(table: list[ModelSlot], limits: ResidencyLimits, now: float, decision: Decision) -> set[str]:
    """Load models with waiting requests, longest wait first; returns the names of models that must stop admitting."""
    not_admitting: set[str] = set()
    holding = [slot for slot in table if slot.occupies_device and not slot.evicting]
    evicting_slots = [slot for slot in table if slot.evicting]
    for model in sorted((slot for slot in table if slot.needs_device), key=lambda slot: slot.oldest):
        if _fits(model, [*holding, *evicting_slots], limits):
            decision.move[model.name] = "gpu"
            holding.append(model)
            continue
        victims = _victims(model, holding, limits)
        if victims is None:
            decision.refuse.append(model.name)
            continue
        for victim in victims:
            over = now >= max(victim.since, model.oldest) + limits.turn_s
            if over or (not victim.busy and now >= victim.last_used + _LINGER_S):
                not_admitting.add(victim.name)
        # its victims' memory is reserved: later models must find other victims
        holding = [slot for slot in holding if slot not in victims] + [model]
    _load_wanted(table, holding, evicting_slots, limits, decision)
    return not_admitting


def _load_wanted(
    table: list[ModelSlot],
    holding: list[ModelSlot],
    evicting_slots: list[ModelSlot],
    limits: ResidencyLimits,
    decision: Decision,
) -> None:
    """Load wanted models, pinned ones first, without evicting others."""
    absent = [slot for slot in table if slot.wanted and slot.location != "gpu" and slot.target is None]
    for slot in sorted(absent, key=lambda slot: not slot.pinned):
        if slot.waiting:
            continue  # loaded for its waiting requests
        if not _fits(slot, [other for other in holding if other.pinned], limits):
            decision.refuse.append(slot.name)
        elif _fits(slot, [*holding, *evicting_slots], limits):
            decision.move[slot.name] = "gpu"
            holding.append(slot)


def _victims(model: ModelSlot, holding: list[ModelSlot], limits: ResidencyLimits) -> list[ModelSlot] | None:
    """Models to evict for it, idle ones first, then least recently used; None if evicting all would not suffice."""
    movable = [slot for slot in holding if not slot.pinned and slot.location == "gpu"]
    stay = list(holding)
    victims: list[ModelSlot] = []
    for candidate in sorted(movable, key=lambda slot: (slot.busy, slot.last_used)):
        if _fits(model, stay, limits):
            break
        stay.remove(candidate)
        victims.append(candidate)
    # models that are still loading can be evicted later
    settled = [slot for slot in stay if slot.pinned]
    if _fits(model, stay, limits):
        return victims
    return victims if _fits(model, settled, limits) else None


def _fits(model: ModelSlot, others: list[ModelSlot], limits: ResidencyLimits) -> bool:
    """A model alone always fits: the engine knows best what it needs."""
    used = sum(slot.size for slot in others)
    return not others or (len(others) < limits.on_device and used + model.size <= limits.memory_bytes)


def _evict_when_idle(slot: ModelSlot, decision: Decision) -> None:
    if not slot.running:
        decision.move[slot.name] = slot.requested or "cpu"


def _evict_idle(
    table: list[ModelSlot], limits: ResidencyLimits, now: float, decision: Decision, *, memory_pressure: bool
) -> None:
    """Move models without requests: idle timeouts, requested moves, MAX_WARM_MODELS."""
    for slot in table:
        if slot.target is not None or slot.busy or slot.name in decision.move:
            continue
        to = slot.requested or idle_move(
            slot.location, now - slot.last_used, limits.idle, busy=False, pinned=slot.pinned
        )
        if slot.location == "gpu" and to == "gpu" and not slot.pinned and (limits.after_request or memory_pressure):
            to = "cpu"
        if to != slot.location and not (to == "cpu" and slot.location == "unloaded"):
            decision.move[slot.name] = to
    warm = [slot for slot in table if slot.location == "cpu" and slot.target is None and not slot.busy]
    warm = [slot for slot in warm if slot.name not in decision.move]
    for slot in sorted(warm, key=lambda slot: slot.last_used)[: max(0, len(warm) - limits.warm)]:
        decision.move[slot.name] = "unloaded"
