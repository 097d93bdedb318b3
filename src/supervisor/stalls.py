"""When an engine counts as hung: pure policy, used by `child.py` with each heartbeat, and while one is missing.

A step has `_TIMES` what the engine's cost model expects, at least ENGINE_STALL_MIN, at most ENGINE_STALL_TIMEOUT, which
also is the rule while the model does not know, and for anything else but a step.
"""

from __future__ import annotations

from src.ipc.messages.status import EngineLoad, Health
from src.settings import SupervisorSettings
from src.supervisor.launcher import Activity

_TIMES = 20.0
_IDLE_SHARE = 0.01  # of a processor: a process that waits for its turn on a busy machine, or for the disk, has more


def stall_reason(load: EngineLoad | None, settings: SupervisorSettings) -> str | None:
    """Why the step under way counts as a hang; None while it may be slow."""
    if load is None or load.running + load.waiting == 0:
        return None
    limit_s = _step_limit_s(load, settings) if load.in_step else settings.engine_stall_timeout
    if load.step_age_s <= limit_s:
        return None
    expected = f", {load.expected_s:.2f} s were expected" if load.in_step and load.expected_s is not None else ""
    return f"no step for {load.step_age_s:.1f} s{expected} ({load.running} running, {load.waiting} waiting)"


def silence_limit_s(health: Health | None, settings: SupervisorSettings) -> float | None:
    """Seconds without a reply after which a process that does nothing counts as hung; None: HEARTBEAT_TIMEOUT alone."""
    load = health.load if health is not None else None
    if load is None or load.running == 0 or load.expected_s is None:
        return None
    return _step_limit_s(load, settings)


def is_halted(before: Activity | None, now: Activity | None, silent_s: float) -> bool:
    """Whether a process that answers nothing has not run meanwhile: stopped, or all its threads wait for each other."""
    if before is None or now is None:
        return False
    return now.stopped or (not now.waits_for_disk and now.cpu_s - before.cpu_s < _IDLE_SHARE * silent_s)


def _step_limit_s(load: EngineLoad, settings: SupervisorSettings) -> float:
    if load.expected_s is None:
        return settings.engine_stall_timeout
    return min(settings.engine_stall_timeout, max(settings.engine_stall_min, _TIMES * load.expected_s))
