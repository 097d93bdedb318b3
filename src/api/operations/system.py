"""Health, status and metrics. These routes take no slot and wait for no engine."""

from __future__ import annotations

import time

import gevent
import msgspec
from flask import Blueprint, Response, request

from src import logs
from src.api.edge import auth
from src.api.generation.inflight import DRAIN_RETRY_S
from src.api.instances import public_name
from src.api.service import json_response, service
from src.api.status_feed import ReducedStatus, reduced
from src.api.wire import Wire
from src.effective_settings import EffectiveSetting
from src.errors import ServiceError
from src.gpu import report
from src.gpu.machine import read_host
from src.ipc.messages.status import ChildStatus, Health, SystemStatus
from src.metrics import CONTENT_TYPE
from src.settings import VERSION
from src.state import progress

blueprint = Blueprint("system", __name__)

_UNAVAILABLE = 503
# states of a model in which its process should stand
_EXPECTED = ("gpu", "cpu", "offloading", "restoring")


class Alive(Wire, frozen=True):
    status: str


class Ready(Wire, frozen=True):
    """`reasons`: what is not ready and why, by name."""

    status: str
    reasons: dict[str, str]


class Unsupervised(Wire, frozen=True):
    status: str
    reason: str


class Version(Wire, frozen=True):
    version: str


class InstanceStatus(Wire, frozen=True):
    """`here`: the one that answers; what others say is up to five seconds old. `status`: null while its supervisor does
    not answer."""

    name: str
    here: bool
    status: SystemStatus | ReducedStatus | None


class InstanceList(Wire, frozen=True):
    instances: tuple[InstanceStatus, ...]


class SettingsOut(Wire, frozen=True):
    settings: tuple[EffectiveSetting, ...]


@blueprint.get("/livez")
def livez() -> Response:
    """This process answers."""
    return json_response(Alive("alive"))


@blueprint.get("/readyz")
@blueprint.get("/health")
def readyz() -> Response:
    """Chat and OCR can be served now; `?chat` or `?ocr` asks for that part alone."""
    reasons = _not_ready(service().backends.status(), service().settings.default_model)
    if ("chat" in request.args) != ("ocr" in request.args):
        reasons = {name: why for name, why in reasons.items() if _concerns(name, ocr="ocr" in request.args)}
    if service().inflight.drain_announced:
        reasons["web"] = "shutting down"
    answer = json_response(Ready("unavailable" if reasons else "ok", reasons), _UNAVAILABLE if reasons else 200)
    if "web" in reasons:
        answer.headers["Retry-After"] = str(int(DRAIN_RETRY_S))
    return answer


@blueprint.get("/version")
def version() -> Response:
    return json_response(Version(VERSION))


@blueprint.get("/v1/system/status")
def system_status() -> Response:
    """This instance's; with `?all=true` that of every instance that shares REDIS_URL."""
    if request.args.get("all") in ("true", "1"):
        return json_response(_all_instances())
    status = service().backends.status()
    if status is None:
        return json_response(Unsupervised("unavailable", "the supervisor does not answer"), _UNAVAILABLE)
    if not auth.is_admin():
        return json_response(reduced(status))
    return Response(msgspec.json.encode(_with_work(status)), mimetype="application/json")


def _all_instances() -> InstanceList:
    known = service().instances
    return InstanceList(
        tuple(
            InstanceStatus(_shown_name(one.name), one.name == known.name, _shown(one.status))
            for one in (known.here(), *known.others())
        )
    )


def _shown_name(name: str) -> str:
    return name if auth.is_admin() else public_name(name)


def _shown(status: SystemStatus | None) -> SystemStatus | ReducedStatus | None:
    return status if status is None or auth.is_admin() else reduced(status)


def _with_work(status: SystemStatus) -> SystemStatus:
    """What waits and runs of batches, jobs and responses; without it where the disk fails."""
    try:
        work = service().state.read(lambda db: progress.unfinished(db, time.time(), status.background_reason))
    except ServiceError:
        return status
    return msgspec.structs.replace(status, work=work)


@blueprint.get("/v1/system/settings")
def settings() -> Response:
    """What the supervisor runs with and where each value comes from, secrets masked."""
    return json_response(SettingsOut(service().backends.settings()))


@blueprint.get("/api/gpu-status")
def gpu_status() -> Response:
    status = service().backends.status()
    ocr = status.child("ocr") if status is not None else None
    body = report.report(
        _engines(status),
        read_host(),
        service().settings.max_num_seqs,
        gpu=status.gpu if status is not None else None,
        ocr=ocr.health if ocr is not None else None,
    )
    return Response(msgspec.json.encode(body), mimetype="application/json")


@blueprint.get("/metrics")
def metrics() -> Response:
    service().metrics.note_dropped(logs.dropped())
    return Response(service().metrics.render(pause=lambda: gevent.sleep(0)), content_type=CONTENT_TYPE)


def _engines(status: SystemStatus | None) -> tuple[Health, ...]:
    """What the engines that are ready say of themselves."""
    children = [status.child(model.child) for model in status.models] if status is not None else []
    return tuple(child.health for child in children if child and child.health and child.state == "ready")


def _not_ready(status: SystemStatus | None, default_model: str) -> dict[str, str]:
    """Nobody waits for a model that has not been asked for; one that failed, or should be there and is not, counts."""
    if status is None:
        return {"supervisor": "does not answer"}
    engines = {model.child for model in status.models}
    reasons = {
        child.name: _why(child)
        for child in status.children
        if child.name not in (*engines, "web", "standby") and child.state != "ready"
    }
    for model in status.models:
        child = status.child(model.child)
        if model.state == "failed" and (model.pinned or model.name == default_model):
            reasons[model.child] = _with_detail("failed", model.detail)
        elif child is not None and child.state != "ready" and model.state in _EXPECTED:
            reasons[model.child] = _why(child)
        elif model.wanted or (model.pinned and model.state != "gpu"):
            reasons[model.child] = _why(child) if child is not None and child.state == "backoff" else model.state
    return reasons


def _concerns(name: str, *, ocr: bool) -> bool:
    """Whether what is not ready keeps this part from being served; the supervisor keeps both."""
    return name == "supervisor" or (name == "ocr") == ocr


def _why(child: ChildStatus) -> str:
    return _with_detail(child.state, child.detail)


def _with_detail(state: str, detail: str | None) -> str:
    """The reason too, for an admin: it may name paths, and anybody may ask the health routes."""
    return f"{state}: {detail}" if detail and auth.is_admin() else state
