"""What one key makes, another neither sees, goes on from, replaces nor ends; ids are the server's alone."""

from __future__ import annotations

import re
import time

import httpx
import pytest

from tests.e2e import pictures
from tests.running import Running
from tests.security.conftest import as_key, refused

pytestmark = pytest.mark.e2e

_MISSING = "resp_" + "0" * 32


def respond(
    target: Running, name: str, text: str, *, request_id: str | None = None, **fields: object
) -> httpx.Response:
    headers = as_key(name) | ({"X-Request-Id": request_id} if request_id else {})
    return httpx.post(f"{target.url}/v1/responses", json={"input": text, **fields}, headers=headers, timeout=30)


def ask(target: Running, method: str, path: str, name: str) -> httpx.Response:
    return httpx.request(method, target.url + path, headers=as_key(name), timeout=30)


def text_of(reply: httpx.Response) -> str:
    return str(reply.json()["output"][0]["content"][0]["text"])


def test_a_response_is_its_owners_alone(target: Running) -> None:
    """Bob cannot read, delete or go on from what Alice has; what he is told is what he is told of ids nobody has."""
    made = respond(target, "alice", "hers").json()["id"]
    for method in ("GET", "DELETE"):
        foreign, missing = (ask(target, method, f"/v1/responses/{name}", "bob") for name in (made, _MISSING))
        assert refused(foreign, 404) == refused(missing, 404)
    foreign, missing = (respond(target, "bob", "x", previous_response_id=name) for name in (made, _MISSING))
    assert refused(foreign) == refused(missing)
    assert text_of(ask(target, "GET", f"/v1/responses/{made}", "alice")) == "hers"
    assert respond(target, "alice", "more", previous_response_id=made).status_code == 200
    assert ask(target, "DELETE", f"/v1/responses/{made}", "alice").status_code == 200
    assert ask(target, "GET", f"/v1/responses/{made}", "alice").status_code == 404


@pytest.mark.parametrize("other", ["alice", "bob"])
def test_a_clients_request_id_names_nothing(target: Running, other: str) -> None:
    """The same X-Request-Id twice makes two responses, neither of which replaces the other; it is echoed."""
    first = respond(target, "alice", "first", request_id="alice-1")
    second = respond(target, other, "second", request_id="alice-1")
    assert {first.headers["X-Request-Id"], second.headers["X-Request-Id"]} == {"alice-1"}
    one, two = first.json()["id"], second.json()["id"]
    assert one != two
    assert re.fullmatch("resp_[0-9a-f]{32}", one)
    assert text_of(ask(target, "GET", f"/v1/responses/{one}", "alice")) == "first"
    assert text_of(ask(target, "GET", f"/v1/responses/{two}", other)) == "second"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "hi"}]}),
        ("/v1/completions", {"prompt": "hi"}),
        ("/v1/messages", {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 9, "model": "demo"}),
        ("/v1/responses", {"input": "hi"}),
    ],
)
def test_no_answer_is_named_after_a_clients_id(target: Running, path: str, body: dict[str, object]) -> None:
    """Every endpoint's ids, those of parts included, are the server's."""
    headers = as_key("alice") | {"X-Request-Id": "chosen-by-me"}
    reply = httpx.post(target.url + path, json=body, headers=headers, timeout=30)
    assert reply.status_code == 200, reply.text
    assert "chosen-by-me" not in reply.text
    assert re.search(r"[a-z]+[-_][0-9a-f]{32}", reply.json()["id"])


def test_the_logs_have_both_ids(target: Running) -> None:
    """A line of the access log has the server's id and, beside it, the client's."""
    respond(target, "alice", "x", request_id="trace-me-2")
    time.sleep(0.5)  # the line is written after the answer's last byte
    lines = [line for line in (target.logs / "api_requests.log").read_text().splitlines() if "trace-me-2" in line]
    assert lines
    assert all(re.search(r'"request_id": ?"[0-9a-f]{32}"', line) for line in lines)


def test_a_job_is_its_owners_alone(target: Running) -> None:
    """Bob gets 404 for its state, result, events and end, as for ids nobody has; Alice has it all."""
    files = {"file": ("x.png", pictures.line("Berth 12"))}
    reply = httpx.post(f"{target.url}/v1/ocr/jobs", files=files, headers=as_key("alice"), timeout=30)
    job = reply.json()["id"]
    assert reply.status_code == 202
    for method, suffix in (("GET", ""), ("GET", "/result"), ("GET", "/events"), ("DELETE", "")):
        foreign, missing = (ask(target, method, f"/v1/ocr/jobs/{name}{suffix}", "bob") for name in (job, "ocr-0"))
        assert refused(foreign, 404) == refused(missing, 404)
    told = ask(target, "GET", f"/v1/ocr/jobs/{job}/events", "alice").text  # until it has ended
    assert '"status":"done"' in told.replace(" ", "")
    assert ask(target, "GET", f"/v1/ocr/jobs/{job}/result", "alice").status_code == 200
    assert ask(target, "DELETE", f"/v1/ocr/jobs/{job}", "alice").status_code == 200
    assert ask(target, "GET", f"/v1/ocr/jobs/{job}", "alice").status_code == 404


def test_an_admin_sees_what_keys_have_made(target: Running) -> None:
    """It reads and ends another key's response and job; it does not go on from them in another's name."""
    made = respond(target, "alice", "hers").json()["id"]
    assert text_of(ask(target, "GET", f"/v1/responses/{made}", "tester")) == "hers"
    refused(respond(target, "tester", "x", previous_response_id=made))
    assert ask(target, "DELETE", f"/v1/responses/{made}", "tester").status_code == 200
    assert ask(target, "GET", f"/v1/responses/{made}", "alice").status_code == 404
    files = {"file": ("x.png", pictures.line("Berth 13"))}
    job = httpx.post(f"{target.url}/v1/ocr/jobs", files=files, headers=as_key("alice"), timeout=30).json()["id"]
    assert ask(target, "GET", f"/v1/ocr/jobs/{job}", "tester").status_code == 200
    assert ask(target, "DELETE", f"/v1/ocr/jobs/{job}", "tester").status_code == 200


def test_a_key_cannot_push_out_what_another_keeps(target: Running) -> None:
    """Bob fills the whole store (RESPONSE_STORE_MB) several times over; Alice's response is still there."""
    made = respond(target, "alice", "hers").json()["id"]
    kept = [respond(target, "bob", "x" * 250_000, max_output_tokens=1).json()["id"] for _ in range(20)]
    assert ask(target, "GET", f"/v1/responses/{kept[0]}", "bob").status_code == 404
    assert ask(target, "GET", f"/v1/responses/{kept[-1]}", "bob").status_code == 200
    assert ask(target, "GET", f"/v1/responses/{made}", "alice").status_code == 200
