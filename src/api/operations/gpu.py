"""/api/gpu/…: where the models are, and orders to free the device. The supervisor decides; this only asks it."""

from __future__ import annotations

from typing import Literal

import msgspec
from flask import Blueprint, Response

from src.api.openai.model_cards import settled
from src.api.openai.schemas import ModelsBody, TimeoutBody
from src.api.service import CONTROL_BYTES, json_body, json_response, service
from src.api.wire import Wire
from src.errors import BackendUnavailable
from src.gpu import Residence
from src.gpu.frameworks import DeviceMemory
from src.gpu.lifecycle import Location
from src.ipc.messages.control import MoveModel, PauseBackground, SetIdleTimeout
from src.ipc.messages.status import ChildStatus, ModelState, ModelStatus, SystemStatus

blueprint = Blueprint("gpu", __name__)

_ACCEPTED = 202
_GB = 1e9
# where the weights are while they move: still there, or not yet here
_LOCATIONS: dict[ModelState, Location] = {"gpu": "gpu", "offloading": "gpu", "cpu": "cpu", "restoring": "cpu"}


class Moved(Wire, frozen=True):
    """`models`: where each is now. `pending`: those whose requests still run; they leave when these have ended."""

    success: bool
    models: dict[str, str]
    pending: tuple[str, ...]


class TimeoutOut(Wire, frozen=True):
    success: bool
    timeout: float


class PausedOut(Wire, frozen=True):
    success: bool
    background_paused: bool


@blueprint.get("/api/gpu/status")
def status() -> Response:
    table = _table()
    places = {model.name: _residence(model, table.child(model.child)) for model in table.models}
    return Response(msgspec.json.encode(places), mimetype="application/json")


@blueprint.post("/api/gpu/offload")
def offload() -> Response:
    """Weights leave the device; their processes stay warm."""
    return _move("cpu", {"cpu", "unloaded", "failed"})


@blueprint.post("/api/gpu/release")
def release() -> Response:
    """Models are unloaded: their processes end."""
    return _move("unloaded", {"unloaded", "failed"})


@blueprint.post("/api/gpu/timeout")
def timeout() -> Response:
    seconds = TimeoutBody.model_validate(json_body(limit=CONTROL_BYTES)).timeout
    service().backends.order(SetIdleTimeout(seconds))
    return json_response(TimeoutOut(True, seconds))


@blueprint.post("/api/gpu/pause")
def pause() -> Response:
    """No more background requests begin."""
    return _pause(paused=True)


@blueprint.post("/api/gpu/resume")
def resume() -> Response:
    return _pause(paused=False)


def _residence(model: ModelStatus, child: ChildStatus | None) -> Residence:
    """As the library's manager says it of models in one process; here it is the supervisor's table."""
    return Residence(
        location=_LOCATIONS.get(model.state, "unloaded"),
        idle_time_seconds=round(model.idle_s, 3),
        idle_timeout_seconds=model.idle_timeout_s,
        monitor_running=True,
        gpu_memory=_memory(child),
    )


def _memory(child: ChildStatus | None) -> dict[str, DeviceMemory]:
    """What the model's process holds of its GPU; empty where there is no process, or it computes on the CPU."""
    health = child.health if child is not None else None
    device = health.device if health is not None else None
    if health is None or health.memory.mlx_active_bytes is None:
        return {}
    if device is None or device.kind not in ("metal", "cuda"):
        return {}
    active, cached, total = (
        health.memory.mlx_active_bytes,
        health.memory.mlx_cache_bytes or 0,
        device.memory_total_bytes,
    )
    return {
        "GPU_0": DeviceMemory(
            allocated_gb=_gb(active), reserved_gb=_gb(active + cached), total_gb=None if total is None else _gb(total)
        )
    }


def _gb(count: int) -> float:
    return round(count / _GB, 3)


def _pause(*, paused: bool) -> Response:
    service().backends.order(PauseBackground(paused))
    return json_response(PausedOut(True, paused))


def _move(to: Literal["cpu", "unloaded"], states: set[str]) -> Response:
    name = ModelsBody.model_validate(json_body(optional=True, limit=CONTROL_BYTES)).model_name
    backends = service().backends
    if name is not None:
        backends.check_model(name)
    backends.order(MoveModel(to, name))
    chosen = (name,) if name is not None else tuple(model.name for model in _table().models if not model.pinned)
    done = not chosen or settled(chosen, states)
    models = {model.name: model.state for model in _table().models if model.name in chosen}
    pending = tuple(sorted(name for name, state in models.items() if state not in states))
    return json_response(Moved(done, dict(models), pending), 200 if done else _ACCEPTED)


def _table() -> SystemStatus:
    table = service().backends.status()
    if table is None:
        raise BackendUnavailable("The supervisor does not answer.", retry_after_s=3.0)
    return table
