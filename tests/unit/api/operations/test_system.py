"""Health, status, models and metrics: they always answer, whatever is down."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient
from msgspec.structs import replace

from src.api.app import create_app
from src.api.service import EXTENSION
from src.ipc.messages.status import DeviceReading, MemoryReading, SystemStatus
from tests.conftest import MakeSettings
from tests.unit.api.fakes import TableBackends, table

Site = Callable[[SystemStatus | None], FlaskClient]


@pytest.fixture
def site(make_settings: MakeSettings) -> Site:
    """A client of the real application, over the given answer of the supervisor."""

    def make(answer: SystemStatus | None) -> FlaskClient:
        settings = make_settings(inference_engine="fake")
        return create_app(settings, TableBackends(settings, answer)).test_client()

    return make


@pytest.mark.parametrize("answer", [table(), table(engine="failed"), None])
def test_alive_means_that_this_process_answers(answer: SystemStatus | None, site: Site) -> None:
    """A dead engine is no reason to restart the web process."""
    response = site(answer).get("/livez")
    assert (response.status_code, response.get_json()) == (200, {"status": "alive"})


def wanted(answer: SystemStatus) -> SystemStatus:
    """Its model is loaded at start, or by itself after a failure."""
    return replace(answer, models=tuple(replace(model, wanted=True) for model in answer.models))


@pytest.mark.parametrize("path", ["/readyz", "/health"])
@pytest.mark.parametrize(
    ("answer", "reasons"),
    [
        (table(), {}),
        (table(engine="starting"), {}),
        (table(engine="failed", detail="no such model"), {"engine:demo": "failed: no such model"}),
        (wanted(table(engine="starting")), {"engine:demo": "loading"}),
        (table(engine="backoff", ocr="starting"), {"engine:demo": "backoff", "ocr": "starting"}),
        (None, {"supervisor": "does not answer"}),
    ],
)
def test_ready_means_that_requests_can_be_served(
    path: str, answer: SystemStatus | None, reasons: dict[str, str], site: Site
) -> None:
    """Ready is 200 and nothing else; otherwise 503 says what is missing and why."""
    response = site(answer).get(path)
    assert response.status_code == (503 if reasons else 200)
    assert response.get_json() == {"status": "unavailable" if reasons else "ok", "reasons": reasons}


@pytest.mark.parametrize(
    ("query", "missing"),
    [
        ("?chat", ["engine:demo"]),
        ("?ocr", ["ocr"]),
        ("?chat&ocr", ["engine:demo", "ocr"]),
        ("?x=1", ["engine:demo", "ocr"]),
    ],
)
def test_a_part_is_asked_for_alone(query: str, missing: list[str], site: Site) -> None:
    """OCR's trouble does not take chat out of a load balancer, nor the other way round."""
    both = site(table(engine="backoff", ocr="starting"))
    assert sorted(both.get(f"/readyz{query}").get_json()["reasons"]) == missing
    assert site(table(ocr="starting")).get("/readyz?chat").status_code == 200
    assert site(None).get(f"/readyz{query}").status_code == 503


def test_a_draining_service_is_not_ready(site: Site) -> None:
    """A load balancer sends nothing more as soon as the shutdown begins."""
    client = site(table())
    client.application.extensions[EXTENSION].inflight.announce_drain()
    response = client.get("/readyz")
    assert (response.status_code, response.get_json()["reasons"]) == (503, {"web": "shutting down"})
    assert response.headers["Retry-After"] == "5"
    assert client.get("/livez").status_code == 200


def test_the_system_status(site: Site) -> None:
    """The supervisor's whole table, or a 503 that says it does not answer."""
    body = site(table()).get("/v1/system/status").get_json()
    assert [child["name"] for child in body["children"]] == ["web", "engine:demo", "ocr"]
    assert body["children"][1]["health"]["load"]["running"] == 3
    response = site(None).get("/v1/system/status")
    assert (response.status_code, response.get_json()["status"]) == (503, "unavailable")


@pytest.mark.parametrize(("answer", "success"), [(table(), True), (table(engine="backoff"), False), (None, False)])
def test_the_gpu_status(answer: SystemStatus | None, success: bool, site: Site) -> None:
    """It answers 200 in every case, with the shape that clients know."""
    response = site(answer).get("/api/gpu-status")
    body = response.get_json()
    assert (response.status_code, body["success"]) == (200, success)
    assert set(body) == {"success", "gpu_status", "recommendations"}
    assert {"metal_available", "device", "using_gpu", "using_cpu"} <= set(body["gpu_status"])
    assert {"max_concurrent", "performance_warning"} <= set(body["recommendations"])


@pytest.mark.parametrize(
    ("device", "memory"),
    [
        (DeviceReading("cpu", memory_total_bytes=64 << 30), {}),
        (None, {}),
        (
            DeviceReading("cuda", memory_total_bytes=24_000_000_000),
            {"GPU_0": {"allocated_gb": 2.0, "reserved_gb": 2.5, "total_gb": 24.0}},
        ),
        (
            DeviceReading("metal"),
            {"GPU_0": {"allocated_gb": 2.0, "reserved_gb": 2.5, "total_gb": None}},
        ),
    ],
)
def test_where_a_model_is(device: DeviceReading | None, memory: dict[str, Any], site: Site) -> None:
    """What it holds of a GPU; memory of a process that computes on the CPU is no GPU's."""
    held = MemoryReading(1, mlx_active_bytes=2_000_000_000, mlx_cache_bytes=500_000_000)
    answer = table()
    children = tuple(
        replace(child, health=replace(child.health, memory=held, device=device))
        if child.name == "engine:demo" and child.health is not None
        else child
        for child in answer.children
    )
    body = site(replace(answer, children=children)).get("/api/gpu/status").get_json()["demo"]
    assert (body["location"], body["gpu_memory"]) == ("gpu", memory)


def test_the_metrics_page(site: Site) -> None:
    """Prometheus gets its format, engine and OCR included."""
    response = site(table()).get("/metrics")
    assert response.content_type == "text/plain; version=0.0.4; charset=utf-8"
    assert 'stoker_num_requests_running{engine="fake",model_name="demo"} 3.0' in response.text
    assert "stoker_ocr_workers_busy 1.0" in response.text
    assert 'stoker_engine_up{engine="fake",model_name="demo"} 0.0' in site(None).get("/metrics").text


@pytest.mark.parametrize(
    ("answer", "facts"),
    [
        (table(), {"state": "gpu", "context_length": 2048, "parameters": 7, "engine": "fake"}),
        (table(engine="starting"), {"state": "loading", "context_length": 2048, "parameters": None, "engine": None}),
        (None, {"state": "unknown", "context_length": 2048, "parameters": None, "engine": None}),
    ],
)
def test_the_models(answer: SystemStatus | None, facts: dict[str, Any], site: Site) -> None:
    """The configured model is listed before it is loaded; what is not known is null."""
    client = site(answer)
    body = client.get("/v1/models").get_json()
    assert body["object"] == "list"
    card = body["data"][0]
    assert (card["id"], card["object"], card["owned_by"]) == ("demo", "model", "stoker")
    assert {name: card[name] for name in facts} == facts
    assert client.get("/v1/models/demo").get_json() == card


def test_a_model_nobody_serves(site: Site) -> None:
    """A name with slashes is a model name too, and an unknown one is a 404 in our envelope."""
    response = site(table()).get("/v1/models/owner/other")
    assert response.status_code == 404
    assert response.get_json()["error"]["code"] == "model_not_found"
