"""Jobs over HTTP: what a client names in fields and headers breaks no response, and who leaves its events just left."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask.testing import FlaskClient

from src.api.app import create_app
from src.api.generation.connections import Backends
from src.api.generation.inflight import ClientGone
from src.api.generation.resume import ResumableStream
from src.ipc.client import Stream
from src.ipc.messages.base import Failed
from src.ipc.messages.ocr import OcrDocument, OcrJob, OcrJobRequest, OcrPage, OcrRequest, OcrResult, OcrTimings
from src.ipc.messages.wire import AnyMessage
from src.settings import Settings
from tests.conftest import MakeSettings
from tests.unit.api.fakes import FakeClock, FakeStream

_IMAGE = "data:image/png;base64,iVBORw0KGgo="
PAGE = OcrPage(0, OcrResult("fake", "hi", (), 1, 1, 0, 0.0, OcrTimings(0, 0, 0)), 1)
_HOSTILE = ("a\nb", "a\r\nX-Evil: 1", "字", "\u202e", "é" * 300, "x" * 5000, "", "a\0b")


class OneJob(Backends):
    """A broker with one job, which is `running`; it remembers what it was asked."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.asked: list[OcrRequest | OcrDocument | OcrJobRequest] = []
        self.script: list[list[AnyMessage] | Exception] = []

    def open_ocr(self, request: OcrRequest | OcrDocument | OcrJobRequest) -> ResumableStream | Stream:
        self.asked.append(request)
        return FakeStream(FakeClock(), *(self.script or [[job("running")]])).stream


def job(state: Any) -> OcrJob:
    return OcrJob("job-1", state, "json", 1.0, 2.0, 1)


@pytest.fixture
def backends(make_settings: MakeSettings) -> OneJob:
    return OneJob(make_settings())


@pytest.fixture
def client(backends: OneJob, make_settings: MakeSettings) -> FlaskClient:
    return create_app(make_settings(), backends).test_client()


@pytest.mark.parametrize("name", _HOSTILE, ids=lambda name: f"{name[:8]!a}")
def test_a_field_that_nobody_knows(client: FlaskClient, name: str) -> None:
    """Its name comes back in one header, in printable ASCII; the job that was made is told."""
    reply = client.post("/v1/ocr/jobs", json={"image": _IMAGE, name: 1})
    assert reply.status_code == 202
    told = reply.headers["X-Ignored-Fields"]
    assert told.isascii()
    assert told.isprintable()
    assert len(told) <= 512
    assert "X-Evil" not in reply.headers


def test_a_field_that_nobody_may_send(make_settings: MakeSettings) -> None:
    """STRICT_FIELDS refuses it before there is a job."""
    backends = OneJob(make_settings(strict_fields=True))
    client = create_app(make_settings(strict_fields=True), backends).test_client()
    reply = client.post("/v1/ocr/jobs", json={"image": _IMAGE, "a\nb": 1})
    assert (reply.status_code, backends.asked) == (400, [])
    assert reply.json["error"]["param"] == "a\nb"  # type: ignore[index]


@pytest.mark.parametrize(
    ("header", "seen"),
    [("7", 7), ("9" * 15, 10**15 - 1), ("1" + "0" * 20, 0), ("9" * 5000, 0), ("-1", 0), ("１", 0), ("1e3", 0), ("", 0)],
)
def test_the_last_event_a_client_has(client: FlaskClient, backends: OneJob, header: str, seen: int) -> None:
    """What is no event's number, or larger than any, is none: the events come from the beginning."""
    backends.script = [[job("done")]]
    sent = header.encode().decode("latin-1")  # as WSGI has it
    reply = client.get("/v1/ocr/jobs/job-1/events", headers={"Last-Event-ID": sent})
    assert reply.status_code == 200
    (asked,) = backends.asked
    assert isinstance(asked, OcrJobRequest)
    assert asked.after == seen


@pytest.mark.parametrize("pages", [[10**30], [-(10**30)], "9" * 2049, "1-" + "9" * 30, [2**63], 1e300])
def test_pages_that_no_document_has(client: FlaskClient, pages: object) -> None:
    """Numbers beyond all measure are refused here: the wire to the broker could not carry them."""
    reply = client.post("/v1/ocr", json={"image": _IMAGE, "pages": pages})
    assert reply.status_code == 400


def blocks(client: FlaskClient) -> list[str]:
    reply = client.get("/v1/ocr/jobs/job-1/events")
    assert reply.mimetype == "text/event-stream"
    return [block for block in reply.text.split("\n\n") if block]


def test_a_silent_connection_is_kept_open(client: FlaskClient, backends: OneJob) -> None:
    """Pages and states as they come, a comment after a silence, the last state last."""
    backends.script = [[job("running")], [], [PAGE], [], [job("done")], [job("running")]]
    said = [block.partition("\n")[0] for block in blocks(client)]
    assert said == ["event: job", ": ping", "id: 1", ": ping", "event: job"]


@pytest.mark.parametrize(
    ("end", "codes"),
    [(Failed("overloaded", "full"), ["overloaded"]), (RuntimeError("a bug"), ["internal_error"]), (ClientGone(), [])],
)
def test_events_end_as_every_stream_does(
    client: FlaskClient, backends: OneJob, end: Failed | Exception, codes: list[str]
) -> None:
    """An error event for a failure and for a bug, nothing for one who left, and nothing raised into the server."""
    backends.script = [[job("running")], [end] if isinstance(end, Failed) else end]
    first, *rest = blocks(client)
    assert first.startswith("event: job")
    assert [json.loads(block.removeprefix("data: "))["error"]["code"] for block in rest] == codes
