"""OpenAI's Batch API with the `openai` package over the fake engine: outcomes, counts, files, bad input, owners."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any, Literal

import gevent
import openai
import pytest

from src.api.batches.absent_keys import GRACE_S
from src.api.batches.feeder import Feeder
from src.api.service import EXTENSION
from tests.contract.conftest import Service, StartService
from tests.unit.clock import Clock

PATIENCE_S = 10.0
CHAT: Literal["/v1/chat/completions"] = "/v1/chat/completions"


def chat(name: str, text: str, **fields: Any) -> dict[str, Any]:
    return request(name, CHAT, {"messages": [{"role": "user", "content": text}], **fields})


def request(name: str, url: str, body: dict[str, Any]) -> dict[str, Any]:
    return {"custom_id": name, "method": "POST", "url": url, "body": body}


def jsonl(*lines: object) -> bytes:
    return b"".join(line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n" for line in lines)


def feeder_of(service: Service, clock: Callable[[], float] = time.time) -> Feeder:
    return Feeder(service.app, service.app.extensions[EXTENSION], clock)


def begin(service: Service, *lines: object, endpoint: Any = CHAT, **fields: Any) -> Any:
    file = service.openai.files.create(file=("in.jsonl", jsonl(*lines)), purpose="batch")
    return service.openai.batches.create(input_file_id=file.id, endpoint=endpoint, completion_window="24h", **fields)


def until_ended(service: Service, name: str, feeder: Feeder | None = None) -> Any:
    feeder, deadline = feeder or feeder_of(service), time.monotonic() + PATIENCE_S
    while True:
        batch = service.openai.batches.retrieve(name)
        if batch.status in ("completed", "failed", "expired", "cancelled"):
            return batch
        assert time.monotonic() < deadline, batch
        feeder.look()
        gevent.sleep(0.01)


def lines_of(service: Service, name: str | None) -> dict[str, Any]:
    assert name is not None
    text = service.openai.files.content(name).text
    found = [json.loads(line) for line in text.splitlines()]
    assert len({line["custom_id"] for line in found}) == len(found)
    return {line["custom_id"]: line for line in found}


def test_a_batch_of_chats(service: Service) -> None:
    """Each line is answered as a live request is; what is wrong with one is in the error file, under its custom_id."""
    made = begin(
        service,
        chat("a", "one"),
        chat("b", "two", priority="high"),
        chat("c", "x", top_k="many"),
        metadata={"for": "tests"},
    )
    assert (made.status, made.output_file_id, made.metadata) == ("validating", None, {"for": "tests"})
    done = until_ended(service, made.id)
    counts = done.request_counts
    assert (done.status, counts.total, counts.completed, counts.failed) == ("completed", 3, 2, 1)
    assert done.completed_at >= done.in_progress_at >= done.created_at
    output, errors = lines_of(service, done.output_file_id), lines_of(service, done.error_file_id)
    assert list(output) == ["a", "b"]
    answer = output["a"]["response"]
    assert (answer["status_code"], output["a"]["error"]) == (200, None)
    assert answer["body"]["choices"][0]["message"]["content"] == "one"
    assert answer["request_id"]
    assert (errors["c"]["response"]["status_code"], errors["c"]["error"]) == (400, None)
    assert errors["c"]["response"]["body"]["error"]["param"] == "top_k"
    kept = service.openai.files.retrieve(done.output_file_id)
    assert (kept.purpose, kept.bytes) == ("batch_output", len(service.openai.files.content(kept.id).read()))


@pytest.mark.parametrize(
    ("endpoint", "body", "kind"),
    [
        ("/v1/completions", {"prompt": "go on"}, "text_completion"),
        ("/v1/responses", {"input": "say it"}, "response"),
        ("/v1/embeddings", {"input": ["a", "b"]}, "list"),
    ],
)
def test_other_endpoints(service: Service, endpoint: str, body: dict[str, Any], kind: str) -> None:
    done = until_ended(service, begin(service, request("1", endpoint, body), endpoint=endpoint).id)
    if endpoint == "/v1/embeddings" and done.error_file_id:  # the fake engine has no vectors, and says so
        line = lines_of(service, done.error_file_id)["1"]
        assert line["response"]["body"]["error"]["code"] == "unsupported_value"
        return
    assert lines_of(service, done.output_file_id)["1"]["response"]["body"]["object"] == kind


GOOD = chat("good", "x")


@pytest.mark.parametrize(
    ("bad", "code", "line"),
    [
        (GOOD, "duplicate_custom_id", 2),
        ({**GOOD, "custom_id": 7}, "invalid_custom_id", 2),
        ({**GOOD, "custom_id": "b", "method": "GET"}, "invalid_method", 2),
        ({**GOOD, "custom_id": "b", "url": "/v1/embeddings"}, "mismatched_endpoint", 2),
        ({**GOOD, "custom_id": "b", "body": []}, "invalid_body", 2),
        (chat("b", "x", stream=True), "unsupported_value", 2),
        (chat("b", "x", background=True), "unsupported_value", 2),
        (chat("b", "x", model="another"), "mismatched_model", 2),
    ],
)
def test_bad_input_names_its_line(start_service: StartService, bad: object, code: str, line: int) -> None:
    """Nothing of the batch runs."""
    service = start_service(engine=False, batch_line_kb=1)
    done = until_ended(service, begin(service, GOOD, bad, chat("last", "x")).id)
    assert (done.status, done.output_file_id, done.request_counts.completed) == ("failed", None, 0)
    assert [(error.code, error.line) for error in done.errors.data] == [(code, line)]
    assert f"ine {line}" in done.errors.data[0].message or code == "too_many_requests"


@pytest.mark.parametrize("bad", [b"no json\n", b"[]\n", b"\xff\n", chat("b", "x" * (2 << 10)), b"[" * 900 + b"\n"])
def test_an_upload_that_is_no_jsonl_names_its_line(start_service: StartService, bad: object) -> None:
    """It is not kept; a file for another purpose is not read."""
    service = start_service(engine=False, batch_line_kb=1)
    data = jsonl(GOOD, bad, chat("last", "x"))
    with pytest.raises(openai.BadRequestError, match="Line 2"):
        service.openai.files.create(file=("in.jsonl", data), purpose="batch")
    assert list(service.openai.files.list()) == []
    assert service.openai.files.create(file=("in.jsonl", data), purpose="user_data").bytes == len(data)


def test_a_line_of_40_mb_is_refused_without_being_read_whole(start_service: StartService) -> None:
    service = start_service(engine=False)
    data = jsonl(GOOD) + b'{"custom_id": "' + b"x" * (40 << 20) + b'"}\n'
    with pytest.raises(openai.BadRequestError, match="Line 2 exceeds 4096 KiB"):
        service.openai.files.create(file=("in.jsonl", data), purpose="batch")


def test_empty_too_long_and_of_no_model(start_service: StartService) -> None:
    service = start_service(engine=False, batch_max_lines=2)
    for lines, code in (
        ((b"\n\n",), "empty_file"),
        ([chat(str(at), "x") for at in range(3)], "too_many_requests"),
        ((chat("a", "x", model="nobody"),), "model_not_found"),
    ):
        assert until_ended(service, begin(service, *lines).id).errors.data[0].code == code


def test_cancelled_batches_end_and_say_so(service: Service) -> None:
    """What has not run is in the error file; what has is kept. A batch that has ended cannot be cancelled."""
    made = begin(service, *(chat(str(at), "x") for at in range(30)))
    assert service.openai.batches.cancel(made.id).status == "cancelling"
    done = until_ended(service, made.id)
    assert (done.status, done.cancelled_at is None, done.request_counts.total) == ("cancelled", False, 0)
    with pytest.raises(openai.BadRequestError, match="cancelled"):
        service.openai.batches.cancel(made.id)


def test_a_batch_expires(service: Service) -> None:
    made = begin(service, chat("a", "x"))
    done = until_ended(service, made.id, feeder_of(service, lambda: time.time() + 86_401))
    assert (done.status, done.expired_at is None) == ("expired", False)


def test_input_that_a_batch_needs_stays(service: Service) -> None:
    made = begin(service, chat("a", "x"))
    with pytest.raises(openai.BadRequestError, match=made.id):
        service.openai.files.delete(made.input_file_id)
    done = until_ended(service, made.id)
    assert service.openai.files.delete(made.input_file_id).deleted
    assert service.openai.files.delete(done.output_file_id).deleted
    assert service.openai.batches.retrieve(made.id).output_file_id is None


def test_lists_and_wrong_requests(service: Service) -> None:
    names = [begin(service, chat("a", "x")).id for _ in range(3)]
    assert [batch.id for batch in service.openai.batches.list(limit=2)] == list(reversed(names))
    photo = service.openai.files.create(file=("a", b"x"), purpose="user_data")
    for fields, param in (
        ({"input_file_id": "file-nobodys"}, "file_id"),
        ({"input_file_id": photo.id}, "input_file_id"),
        ({"endpoint": "/v1/moderations"}, "endpoint"),
        ({"completion_window": "a while"}, "completion_window"),
        ({"frobnicate": 1}, "frobnicate"),
    ):
        body = {"input_file_id": photo.id, "endpoint": CHAT, "completion_window": "24h", **fields}
        reply = service.http.post("/v1/batches", json=body)
        assert reply.status_code in (400, 404)
        assert reply.json()["error"]["param"] == param


def test_unfinished_batches_of_a_key_are_bounded(start_service: StartService) -> None:
    service = start_service(engine=False, batches_per_key=1)
    begin(service, chat("a", "x"))
    with pytest.raises(openai.BadRequestError, match="BATCHES_PER_KEY"):
        begin(service, chat("a", "x"))


def test_a_line_waits_for_an_engine_that_is_away(start_service: StartService) -> None:
    """No line fails because the service cannot answer now; it has its one outcome later."""
    service = start_service(engine=False)
    made, feeder = begin(service, chat("a", "hello")), feeder_of(service)
    for _ in range(3):
        feeder.look()
        gevent.sleep(0.05)
    assert service.http.get(f"/v1/batches/{made.id}").json()["request_counts"]["failed"] == 0
    service.start_engine()
    done = until_ended(service, made.id, feeder)
    assert (done.request_counts.completed, done.request_counts.failed) == (1, 0)


def test_a_batch_is_its_owners_and_runs_as_its_key(start_service: StartService) -> None:
    """Two keys take turns; neither sees the other's; a key that is removed takes its batches with it, after a while."""
    keys = {name: f"{name}-key-{'0' * 24}" for name in ("alice", "bob")}
    setting = ",".join(f"{name}:user:{key}" for name, key in keys.items())
    service = start_service(api_keys=setting)
    made = {}
    for name, key in keys.items():
        client = service.openai.with_options(api_key=key)
        file = client.files.create(file=("a", jsonl(*(chat(str(at), name) for at in range(3)))), purpose="batch")
        made[name] = client.batches.create(input_file_id=file.id, endpoint=CHAT, completion_window="24h")
    bob, alice = (service.openai.with_options(api_key=keys[name]) for name in ("bob", "alice"))
    with pytest.raises(openai.NotFoundError):
        bob.batches.retrieve(made["alice"].id)
    with pytest.raises(openai.NotFoundError):
        bob.batches.cancel(made["alice"].id)
    feeder, deadline = feeder_of(service), time.monotonic() + PATIENCE_S
    while alice.batches.retrieve(made["alice"].id).status != "completed":
        assert time.monotonic() < deadline
        feeder.look()
        gevent.sleep(0.01)
    assert [batch.id for batch in alice.batches.list()] == [made["alice"].id]
    late = bob.batches.create(input_file_id=made["bob"].input_file_id, endpoint=CHAT, completion_window="24h")
    ring = service.app.extensions["stoker.keys"]
    is_valid = ring.is_valid
    ring.is_valid = lambda name: name != "bob"
    clock = Clock(time.time())
    feeder = feeder_of(service, clock)
    feeder.look()
    clock.now += GRACE_S - 1
    feeder.look()
    waiting = bob.batches.retrieve(late.id)
    assert (waiting.status, waiting.request_counts and waiting.request_counts.completed) == ("in_progress", 0)
    assert waiting.errors is not None
    assert [error.code for error in waiting.errors.data or ()] == ["key_unknown"]
    clock.now += 1
    feeder.look()
    assert bob.batches.retrieve(late.id).status == "cancelled"
    again = bob.batches.create(input_file_id=made["bob"].input_file_id, endpoint=CHAT, completion_window="24h")
    feeder = feeder_of(service)
    feeder.look()
    assert bob.batches.retrieve(again.id).errors is not None
    ring.is_valid = is_valid
    feeder.look()
    assert bob.batches.retrieve(again.id).errors is None
