"""GET /v1/system/logs: the end of a file, by level and request; what is not a line of ours is left out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from src.api.app import create_app
from src.api.operations import logs
from tests.conftest import MakeSettings
from tests.unit.api.fakes import TableBackends, table

Write = Callable[..., None]


def line(level: str, message: str, request_id: str | None = None) -> str:
    entry = {"ts": "2026-11-30T10:00:00.000+00:00", "level": level, "pid": 7, "where": "src.x:1", "message": message}
    return json.dumps({**entry, "process": "web", **({"request_id": request_id} if request_id else {})}) + "\n"


@pytest.fixture
def client(make_settings: MakeSettings, tmp_path: Path) -> FlaskClient:
    settings = make_settings(inference_engine="fake", log_dir=tmp_path, enable_log_file=True)
    return create_app(settings, TableBackends(settings, table())).test_client()


def messages(client: FlaskClient, query: str = "") -> list[Any]:
    return [one["message"] for one in client.get(f"/v1/system/logs{query}").get_json()["lines"]]


def test_lines_by_file_level_and_request(client: FlaskClient, tmp_path: Path) -> None:
    """The newest last; a level means it and above."""
    (tmp_path / "app.log").write_text(
        line("INFO", "one", "a1") + line("WARNING", "two", "b2") + "no line of ours\n" + line("ERROR", "three", "a1")
    )
    (tmp_path / "errors.log").write_text(line("ERROR", "three", "a1"))
    assert messages(client) == ["one", "two", "three"]
    assert messages(client, "?level=WARNING") == ["two", "three"]
    assert messages(client, "?request_id=a1") == ["one", "three"]
    assert messages(client, "?limit=1") == ["three"]
    assert messages(client, "?file=errors") == ["three"]
    assert messages(client, "?file=model") == []


def test_only_the_end_of_a_long_file_is_read(client: FlaskClient, tmp_path: Path) -> None:
    """A first line that is cut is left out, and the answer says that there is more."""
    (tmp_path / "app.log").write_text("".join(line("INFO", f"{number}") for number in range(5000)))
    answer = client.get("/v1/system/logs?limit=500").get_json()
    assert answer["truncated"] is True
    assert [one["message"] for one in answer["lines"]][-2:] == ["4998", "4999"]
    assert len(logs._end_of(tmp_path / "app.log")[0]) < 5000


@pytest.mark.parametrize("query", ["file=../x", "level=loud", "limit=0", "limit=501", "limit=-1", "limit=1e3"])
def test_what_it_cannot_read_is_refused(query: str, client: FlaskClient) -> None:
    response = client.get(f"/v1/system/logs?{query}")
    assert (response.status_code, response.get_json()["error"]["param"]) == (400, query.partition("=")[0])


def test_without_files_there_are_no_lines(make_settings: MakeSettings) -> None:
    settings = make_settings(inference_engine="fake", enable_log_file=False)
    response = create_app(settings, TableBackends(settings, table())).test_client().get("/v1/system/logs")
    assert response.status_code == 404
    assert "ENABLE_LOG_FILE" in response.get_json()["error"]["message"]
