"""Health, status and metrics. These routes take no slot and wait for no engine."""

from __future__ import annotations

import msgspec
from flask import Blueprint, Response

from src.api.schemas import Wire
from src.api.service import json_response, service
from src.gpu import report
from src.gpu.machine import read_host
from src.ipc.messages import ChildStatus, SystemStatus
from src.metrics import CONTENT_TYPE

blueprint = Blueprint("system", __name__)

_UNAVAILABLE = 503


class Alive(Wire, frozen=True):
    status: str


class Ready(Wire, frozen=True):
    """`reasons`: what is not ready and why, by name."""

    status: str
    reasons: dict[str, str]


class Unsupervised(Wire, frozen=True):
    status: str
    reason: str


@blueprint.get("/livez")
def livez() -> Response:
    """This process answers."""
    return json_response(Alive("alive"))


@blueprint.get("/readyz")
@blueprint.get("/health")
def readyz() -> Response:
    """Chat and OCR can be served now."""
    reasons = _not_ready(service().backends.status())
    if service().inflight.draining:
        reasons["web"] = "shutting down"
    return json_response(Ready("unavailable" if reasons else "ok", reasons), _UNAVAILABLE if reasons else 200)


@blueprint.get("/v1/system/status")
def system_status() -> Response:
    status = service().backends.status()
    if status is None:
        return json_response(Unsupervised("unavailable", "the supervisor does not answer"), _UNAVAILABLE)
    return Response(msgspec.json.encode(status), mimetype="application/json")


@blueprint.get("/api/gpu-status")
def gpu_status() -> Response:
    status = service().backends.status()
    engine, ocr = (status.child("engine"), status.child("ocr")) if status is not None else (None, None)
    body = report.report(
        engine.health if engine is not None and engine.state == "ready" else None,
        read_host(),
        service().settings.max_num_seqs,
        gpu=status.gpu if status is not None else None,
        ocr=ocr.health if ocr is not None else None,
    )
    return Response(msgspec.json.encode(body), mimetype="application/json")


@blueprint.get("/metrics")
def metrics() -> Response:
    return Response(service().metrics.render(), content_type=CONTENT_TYPE)


def _not_ready(status: SystemStatus | None) -> dict[str, str]:
    if status is None:
        return {"supervisor": "does not answer"}
    return {child.name: _why(child) for child in status.children if child.name != "web" and child.state != "ready"}


def _why(child: ChildStatus) -> str:
    return f"{child.state}: {child.detail}" if child.detail else child.state
