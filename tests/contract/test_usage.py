"""GET /v1/usage and `run.py usage` against what the client has counted itself; budgets on every wire."""

from __future__ import annotations

import base64
import csv
import io
import json
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import gevent
import httpx
import pytest

from src import cli
from src.api.batches.feeder import Feeder
from src.api.service import EXTENSION
from src.api.state.usage import UsageCounts
from src.ipc.messages.ocr import OcrPageCounts, OcrPageCountsRequest
from src.ipc.server import Peer
from tests.contract.conftest import PATIENCE_S, Service, StartService, broker_of, events
from tests.contract.test_ocr_route import DOCUMENTS, PNG, Broker

KEYS = {name: f"{name}-key-{'0' * 24}" for name in ("app", "other", "root")}
SETTING = ",".join(f"{name}:{'admin' if name == 'root' else 'user'}:{key}" for name, key in KEYS.items())

PDF = f"data:application/pdf;base64,{base64.b64encode(DOCUMENTS['pdf']).decode()}"


def as_key(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {KEYS[name]}"}


def usage(service: Service, asking: str = "root", /, **query: Any) -> Any:
    response = service.http.get("/v1/usage", params=query, headers=as_key(asking))
    assert response.status_code == 200, response.text
    return response.json()


def messages(text: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], "max_tokens": 20}


# the wire's path, its body, and where its answer says what it took
WIRES: dict[str, tuple[dict[str, Any], tuple[str, str, str]]] = {
    "/v1/chat/completions": (messages("chat"), ("usage", "prompt_tokens", "completion_tokens")),
    "/v1/completions": ({"prompt": ["one", "two"]}, ("usage", "prompt_tokens", "completion_tokens")),
    "/v1/responses": ({"input": "responses"}, ("usage", "input_tokens", "output_tokens")),
    "/v1/messages": ({"model": "demo", **messages("messages")}, ("usage", "input_tokens", "output_tokens")),
    "/api/chat": ({"model": "demo", "stream": False, **messages("ollama")}, ("", "prompt_eval_count", "eval_count")),
}


def ask(service: Service, path: str, key: str = "app") -> httpx.Response:
    return service.http.post(path, json=WIRES[path][0], headers=as_key(key))


def taken(path: str, response: httpx.Response) -> tuple[int, int]:
    place, prompt, answer = WIRES[path][1]
    found = response.json()[place] if place else response.json()
    cached = found.get("cache_read_input_tokens", 0) + found.get("cache_creation_input_tokens", 0)
    return found[prompt] + cached, found[answer]


def test_usage_is_what_the_client_counts(start_service: StartService, capsys: pytest.CaptureFixture[str]) -> None:
    """Of each wire, streamed, cancelled; by key and model; over a restart; the same from the command line."""
    service = start_service(api_keys=SETTING, ocr_workers=0)
    counted: Counter[str] = Counter()
    for path in WIRES:
        answer = ask(service, path)
        assert answer.status_code == 200, answer.text
        prompt, made = taken(path, answer)
        counted.update(prompt=prompt, answer=made)
    streamed = events(
        service.http.post(
            "/v1/chat/completions",
            json={**messages("streamed"), "stream": True, "stream_options": {"include_usage": True}},
            headers=as_key("app"),
        ).text
    )[-2]["usage"]
    counted.update(prompt=streamed["prompt_tokens"], answer=streamed["completion_tokens"])
    assert service.http.post("/v1/chat/completions", json={}, headers=as_key("app")).status_code == 400
    row = {"requests": 7, "prompt_tokens": counted["prompt"], "completion_tokens": counted["answer"], "pages": 0}
    (mine,) = usage(service, "app")["data"]
    assert mine.items() >= row.items()
    assert (mine["key"], mine["model"], mine["total_tokens"]) == ("app", "demo", counted.total())

    ask(service, "/v1/chat/completions", "other")
    assert [one["key"] for one in usage(service, "other")["data"]] == ["other"]
    assert usage(service, "other", key="app")["data"] == []
    service.close()
    again = start_service(api_keys=SETTING, ocr_workers=0, runtime_dir=service.settings.runtime_dir)
    ask(again, "/v1/chat/completions", "other")
    found = {one["key"]: one for one in usage(again, group_by="key")["data"]}
    assert found["app"].items() >= row.items()
    assert found["other"]["requests"] == 2

    settings = {"RUNTIME_DIR": str(again.settings.runtime_dir), "STATE_DIR": str(again.settings.state_path)}
    with pytest.MonkeyPatch.context() as patched:
        for name, value in settings.items():
            patched.setenv(name, value)
        assert cli.main(["usage", "--csv", "--by", "key,model"]) == 0
        table = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
        shown = [(one["key"], one["model"], int(one["total_tokens"])) for one in table]
        assert shown[0] == ("app", "demo", counted.total())
        assert cli.main(["usage", "--json", "--key", "other"]) == 0
        assert [one["requests"] for one in json.loads(capsys.readouterr().out)] == [2]
        assert cli.main(["usage", "--by", "colour"]) == 1


def test_a_cancelled_answer_counts_as_far_as_it_came(start_service: StartService) -> None:
    service = start_service(api_keys=SETTING, ocr_workers=0)
    body = {"messages": [{"role": "user", "content": "fake:count=500 delay_ms=5"}], "stream": True}
    with service.http.stream("POST", "/v1/chat/completions", json=body, headers=as_key("app")) as answer:
        seen = sum(line.startswith("data:") for line, _ in zip(answer.iter_lines(), range(20), strict=False))
    (row,) = usage(service, "app")["data"]
    assert seen
    assert row["requests"] == 1
    assert row["prompt_tokens"] > 0
    assert 0 < row["completion_tokens"] < 500


def test_pages_and_jobs_count_for_their_key(start_service: StartService) -> None:
    """An image, a document of two pages, and five pages that a job has read by itself."""
    service = start_service(engine=False, api_keys=SETTING)
    broker, today = Broker(), datetime.now(UTC).strftime("%Y-%m-%d")

    async def handle(peer: Peer) -> None:
        if isinstance(message := await peer.receive(), OcrPageCountsRequest):
            peer.send(OcrPageCounts(((today, "app", 5),)))
        else:
            await broker.answering(peer, message)

    with broker_of(service, handle):
        for name, data in (("a.png", PNG), ("b.pdf", DOCUMENTS["pdf"])):
            response = service.http.post("/v1/ocr", files={"file": (name, data)}, headers=as_key("app"))
            assert response.status_code == 200, response.text
        (row,) = usage(service, "app")["data"]
    assert (row["model"], row["requests"], row["pages"], row["total_tokens"]) == ("ocr", 2, 3 + 5, 0)


def spend(service: Service, key: str, counts: UsageCounts) -> None:
    service.app.extensions[EXTENSION].usage.add(key, "demo", counts)


@pytest.mark.parametrize("path", WIRES)
def test_a_budget_that_is_used_up_is_said_on_every_wire(path: str, start_service: StartService) -> None:
    """429 with Retry-After until the next UTC day, in the wire's own envelope; other keys and admins go on."""
    service = start_service(api_keys=SETTING, ocr_workers=0, key_tokens_per_day=1000)
    fresh = ask(service, path)
    assert fresh.headers["x-ratelimit-limit-tokens-day"] == "1000"
    spend(service, "app", UsageCounts(1, 900, 0, 100))
    refused = ask(service, path)
    assert refused.status_code == 429
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0) + timedelta(days=1)
    assert abs(int(refused.headers["Retry-After"]) - (midnight - datetime.now(UTC)).total_seconds()) < 5
    assert refused.headers["x-should-retry"] == "false"
    assert refused.headers["x-ratelimit-remaining-tokens-day"] == "0"
    error = refused.json()["error"]
    if path == "/api/chat":
        assert "of its 1000 tokens of today" in error
    else:
        assert error["type"] == ("rate_limit_error" if path == "/v1/messages" else "insufficient_quota")
        assert error["code"] == "insufficient_quota"
        assert "of its 1000 tokens of today" in error["message"]
    assert [ask(service, path, key).status_code for key in ("other", "root")] == [200, 200]
    metrics = service.http.get("/metrics", headers=as_key("root")).text
    assert 'stoker_rate_limited_total{scope="budget_tokens"} 1.0' in metrics
    assert 'stoker_key_budget{key="app",unit="tokens"} 1000.0' in metrics
    (budget,) = usage(service, "app")["budgets"]
    assert (budget["limit"], budget["remaining"]) == (1000, 0)
    assert budget["resets_at"] % 86_400 == 0


def test_pages_have_a_budget_of_their_own(start_service: StartService, tmp_path: Path) -> None:
    service = start_service(api_keys=SETTING, key_pages_per_day=3)
    spend(service, "app", UsageCounts(1, pages=3))
    with broker_of(service, Broker()):
        refused = service.http.post("/v1/ocr", files={"file": ("a.png", PNG)}, headers=as_key("app"))
        job = service.http.post("/v1/ocr/jobs", files={"file": ("b.pdf", DOCUMENTS["pdf"])}, headers=as_key("app"))
        other = service.http.post("/v1/ocr", files={"file": ("a.png", PNG)}, headers=as_key("other"))
    assert [one.status_code for one in (refused, job, other)] == [429, 429, 200]
    assert refused.json()["error"]["code"] == "insufficient_quota"
    assert ask(service, "/v1/chat/completions").status_code == 200


def test_left_work_waits_for_the_next_day(start_service: StartService) -> None:
    """A batch and a background response of a key over its budget hold nobody's place, and are answered once it may."""
    service = start_service(api_keys=SETTING, ocr_workers=0, key_tokens_per_day=1000, background_max_seqs=1)
    shared = service.app.extensions[EXTENSION]
    made = {}
    for name in ("app", "other"):
        client = service.openai.with_options(api_key=KEYS[name])
        line = {"custom_id": "1", "method": "POST", "url": "/v1/chat/completions", "body": messages("line")}
        file = client.files.create(file=("a", json.dumps(line).encode()), purpose="batch")
        batch = client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
        response = client.responses.create(model="demo", input="later", background=True)
        made[name] = (client, batch.id, response.id)
    spend(service, "app", UsageCounts(1, 1000))

    def states(name: str) -> tuple[str, str | None]:
        client, batch, response = made[name]
        return client.batches.retrieve(batch).status, client.responses.retrieve(response).status

    feeder, deadline = Feeder(service.app, shared), time.monotonic() + PATIENCE_S
    while states("other") != ("completed", "completed"):
        assert time.monotonic() < deadline
        feeder.look()
        gevent.sleep(0.01)
    assert states("app") == ("in_progress", "queued")
    shared.budgets._limits.pop("app")
    while states("app") != ("completed", "completed"):
        assert time.monotonic() < deadline
        feeder.look()
        gevent.sleep(0.01)
    (row,) = [one for one in usage(service, group_by="key")["data"] if one["key"] == "other"]
    assert row["requests"] == 2


def test_a_line_that_takes_pages_holds_no_place(start_service: StartService) -> None:
    """A chat's PDF when its key's pages are used up, and not its tokens: other keys' lines go on, nothing is read."""
    service = start_service(api_keys=SETTING, key_pages_per_day=3, background_max_seqs=1)
    spend(service, "app", UsageCounts(1, pages=3))
    pdf = {"type": "file", "file": {"filename": "a.pdf", "file_data": PDF}}
    bodies = {"app": {"messages": [{"role": "user", "content": [pdf]}]}, "other": messages("line")}
    feeder, deadline = Feeder(service.app, service.app.extensions[EXTENSION]), time.monotonic() + PATIENCE_S
    made = {}
    for name, body in bodies.items():
        client = service.openai.with_options(api_key=KEYS[name])
        line = {"custom_id": "1", "method": "POST", "url": "/v1/chat/completions", "body": body}
        file = client.files.create(file=("a", json.dumps(line).encode()), purpose="batch")
        batch = client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
        made[name] = (client, batch.id)
        feeder.look()
        gevent.sleep(0.05)
    while made["other"][0].batches.retrieve(made["other"][1]).status != "completed":
        assert time.monotonic() < deadline
        feeder.look()
        gevent.sleep(0.01)
    assert made["app"][0].batches.retrieve(made["app"][1]).status == "in_progress"


def test_an_annotated_document_is_not_read_for_a_key_without_tokens(start_service: StartService) -> None:
    """Its pages would be charged, again whenever a batch's line is tried, for an answer that is refused."""
    service = start_service(api_keys=SETTING, key_tokens_per_day=10)
    spend(service, "app", UsageCounts(1, 10))
    form = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}}
    body = {"document": {"type": "document_url", "document_url": PDF}, "document_annotation_format": form}
    with broker_of(service, Broker()):
        refused = service.http.post("/v1/ocr", json=body, headers=as_key("app"))
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "insufficient_quota")
    assert [row["pages"] for row in usage(service, "app")["data"] if row["model"] == "ocr"] == []


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"start_date": "yesterday"}, "start_date"),
        ({"start_date": "2027-02-01", "end_date": "2027-01-01"}, "start_date"),
        ({"group_by": "colour"}, "group_by"),
        ({"after": "nothing"}, "after"),
        ({"limit": "0"}, "limit"),
        ({"order": "up"}, "order"),
    ],
)
def test_wrong_questions_name_their_field(service: Service, query: dict[str, str], param: str) -> None:
    response = service.http.get("/v1/usage", params=query)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == param


@pytest.mark.parametrize("day", ["0001-01-01", "0999-05-05", "9999-12-31"])
def test_any_day_of_the_calendar_may_be_asked_for(service: Service, day: str) -> None:
    """Those before the year 1000 were a 500."""
    for query in ({"end_date": day}, {"start_date": day, "end_date": day}):
        response = service.http.get("/v1/usage", params=query)
        assert (response.status_code, response.json().get("data")) == (200, [])


def test_rows_come_by_page(service: Service) -> None:
    """Newest first, one by one, each once; without keys the key is null."""
    for model in ("a/1", "b", "c"):
        service.app.extensions[EXTENSION].usage.add("", model, UsageCounts(1, 2))
    seen: list[str] = []
    page = service.http.get("/v1/usage", params={"limit": 1}).json()
    while True:
        seen += [row["model"] for row in page["data"]]
        assert page["data"][0]["key"] is None
        if not page["has_more"]:
            break
        page = service.http.get("/v1/usage", params={"limit": 1, "after": page["last_id"]}).json()
    assert seen == ["c", "b", "a/1"]
