"""POST /v1/ocr as Mistral's client sends it: every field is honoured, or a 400 that names it."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from src.api.openai import translation
from src.ipc.messages.blocks import OcrBlock
from src.ipc.messages.chat import Delta, Finished, FinishReason, GenerateRequest, Timings, Usage
from src.ipc.messages.ocr import OcrDocument, OcrFinished, OcrLine, OcrPage, OcrRequest, OcrResult, OcrTaken, OcrTimings
from src.ipc.server import Peer
from tests.contract.conftest import Service, StartService, broker_of
from tests.contract.test_errors import check

URL = "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(64)).decode()
PDF = "data:application/pdf;base64," + base64.b64encode(b"%PDF-1.7\n").decode()
RESULT = OcrResult(
    "rapidocr",
    "Berth 12\nA boat",
    (OcrLine("Berth 12", 0.9, ((0, 0), (80, 0), (80, 20), (0, 20))),),
    80,
    90,
    0,
    0.0,
    OcrTimings(0.0, 0.0, 0.0),
    blocks=(OcrBlock("text", (0, 0, 80, 20), "Berth 12"), OcrBlock("figure", (0, 30, 80, 90))),
    figures=(b"\xff\xd8 a boat",),
)
SCHEMA = {"type": "object", "properties": {"berth": {"type": "string"}}, "required": ["berth"]}
FORM = {"type": "json_schema", "json_schema": {"name": "notice", "schema": SCHEMA, "strict": True}}
# what mistralai 3.7 sends when nothing else is asked for
SENT = {"model": "mistral-ocr-latest", "include_blocks": True}


class Broker:
    def __init__(self) -> None:
        self.asked: list[OcrRequest | OcrDocument] = []

    async def __call__(self, peer: Peer) -> None:
        message = await peer.receive()
        if isinstance(message, OcrRequest):
            self.asked.append(message)
            peer.send(RESULT)
        if isinstance(message, OcrDocument):
            self.asked.append(message)
            for event in (OcrTaken("pdf", (0,)), OcrPage(0, RESULT), OcrFinished()):
                peer.send(event)


@pytest.fixture
def service(start_service: StartService) -> Service:
    return start_service()


@pytest.fixture
def broker(service: Service) -> Iterator[Broker]:
    broker = Broker()
    with broker_of(service, broker):
        yield broker


def ask(service: Service, url: str = URL, headers: dict[str, str] | None = None, **fields: Any) -> httpx.Response:
    kind = "document_url" if "pdf" in url else "image_url"
    body: dict[str, Any] = {**SENT, "document": {"type": kind, kind: url}, **fields}
    return service.http.post("/v1/ocr", json=body, headers=headers)


def test_what_the_client_always_sends(service: Service, broker: Broker) -> None:
    """Blocks, and dimensions with a resolution: without one the client raises."""
    answer = ask(service).json()
    (page,) = answer["pages"]
    assert page["dimensions"] == {"dpi": 150, "height": 90, "width": 80}
    assert [block["type"] for block in page["blocks"]] == ["text", "image"]
    assert [(image["id"], image["image_base64"]) for image in page["images"]] == [("img-0.jpeg", None)]
    assert answer["document_annotation"] is None
    assert broker.asked[0].options.structure


@pytest.mark.parametrize(
    "fields",
    [
        {"include_image_base64": True, "image_limit": 3, "image_min_size": 0},
        {"table_format": "html"},
        {"table_format": None, "extract_header": True, "extract_footer": True},
        {"confidence_scores_granularity": "word"},
        {"confidence_scores_granularity": "block"},
        {"include_blocks": False, "pages": [0], "id": "mine"},
        {"bbox_annotation_format": None, "document_annotation_format": None, "document_annotation_prompt": None},
    ],
)
def test_every_field_is_taken(service: Service, broker: Broker, fields: dict[str, Any]) -> None:
    """None of them is refused, and none is said to be ignored."""
    answer = ask(service, PDF, **fields)
    assert answer.status_code == 200
    assert "X-Ignored-Fields" not in answer.headers


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"table_format": "latex"}, "table_format"),
        ({"confidence_scores_granularity": "letter"}, "confidence_scores_granularity"),
        ({"image_limit": -1}, "image_limit"),
        ({"document": {"type": "file"}}, "document.file_id"),
        ({"document": {"type": "document_url", "document_url": "https://elsewhere/a.pdf"}}, "document"),
        ({"document_annotation_format": {"type": "text"}}, "document_annotation_format.type"),
        ({"document_annotation_format": {"type": "json_schema"}}, "document_annotation_format.json_schema"),
        ({"document_annotation_prompt": "alone"}, "document_annotation_prompt"),
        ({"document_annotation_format": FORM, "format": "text"}, "document_annotation_format"),
    ],
)
def test_what_is_not_had_is_named(service: Service, broker: Broker, fields: dict[str, Any], param: str) -> None:
    """Before anything is read."""
    answer = ask(service, **fields)
    check(answer, 400, answer.json()["error"]["code"], param)
    assert broker.asked == []


@pytest.mark.parametrize(
    ("pages", "client", "wanted"),
    [
        ("0", "", ((0, 0),)),
        ("0,2-3", "", ((0, 0), (2, 3))),
        ("1-3,10", "", ((0, 2), (9, 9))),
        ("1-3,10", "mistral-client-python/3.7.0", ((1, 3), (10, 10))),
        ([2, 3], "mistral-client-python/3.7.0", ((2, 2), (3, 3))),
    ],
)
def test_pages_are_counted_as_the_client_does(
    service: Service, broker: Broker, pages: Any, client: str, wanted: Any
) -> None:
    """Mistral counts strings from 0, too; ours count from 1."""
    ask(service, PDF, {"User-Agent": client} if client else None, pages=pages)
    (asked,) = broker.asked
    assert isinstance(asked, OcrDocument)
    assert asked.pages == wanted


# ---- annotations


class ChatModel:
    """Stands in for a model that follows schemas, which the fake engine does not."""

    def __init__(self, reason: FinishReason = "stop") -> None:
        self.asked: list[GenerateRequest] = []
        self._reason = reason

    def __call__(self, requests: list[GenerateRequest]) -> list[list[Any]]:
        self.asked += requests
        finished = Finished(self._reason, Usage(9, 3), Timings(0.0, 0.0, 0.0))
        return [[Delta((1,), '{"berth": "12"}'), finished] for _ in requests]


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> ChatModel:
    model = ChatModel()
    monkeypatch.setattr(translation, "collect_all", model)
    return model


def test_a_document_is_annotated_by_the_chat_model(service: Service, broker: Broker, model: ChatModel) -> None:
    """A scan becomes an object in one request: the model is given the pages' text and keeps to the schema."""
    answer = ask(service, PDF, document_annotation_format=FORM, document_annotation_prompt="Which berth?")
    assert json.loads(answer.json()["document_annotation"]) == {"berth": "12"}
    assert answer.json()["pages"][0]["markdown"].startswith("Berth 12")
    (asked,) = model.asked
    assert json.loads(asked.json_schema or "") == SCHEMA
    (turn,) = asked.messages
    assert turn.content == "Which berth?\n\n[Page 1]\nBerth 12"
    assert asked.sampling.temperature == 0


def test_an_annotation_that_does_not_end_is_an_error(
    service: Service, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of an object would be no JSON."""
    monkeypatch.setattr(translation, "collect_all", ChatModel("length"))
    answer = ask(service, PDF, document_annotation_format=FORM)
    check(answer, 400, "invalid_value", "document_annotation_format")


def test_each_image_is_annotated(service: Service, broker: Broker, model: ChatModel) -> None:
    """From what it shows, or for a model that cannot see from the text in it."""
    page = ask(service, PDF, bbox_annotation_format=FORM).json()["pages"][0]
    (image,) = page["images"]
    assert (image["image_annotation"], image["image_base64"]) == ('{"berth": "12"}', None)
    assert broker.asked[0].options.figures


def test_a_form_holds_its_schema_as_json(service: Service, broker: Broker, model: ChatModel) -> None:
    """Multipart forms have no objects."""
    files = {"file": ("a.png", base64.b64decode(URL.partition(",")[2]))}
    answer = service.http.post("/v1/ocr", files=files, data={"document_annotation_format": json.dumps(FORM)})
    assert answer.json()["document_annotation"]
    broken = service.http.post("/v1/ocr", files=files, data={"document_annotation_format": "{"})
    check(broken, 400, "invalid_value", "document_annotation_format")


def test_a_schema_that_cannot_be_followed_is_named(service: Service, broker: Broker) -> None:
    """By the field it came in, not by the chat's: the fake engine follows none."""
    check(ask(service, document_annotation_format=FORM), 400, "unsupported_value", "document_annotation_format")


def test_a_job_has_no_annotations(service: Service, broker: Broker) -> None:
    """It says where they are had."""
    body = {**SENT, "document": {"type": "image_url", "image_url": URL}, "document_annotation_format": FORM}
    answer = service.http.post("/v1/ocr/jobs", json=body)
    check(answer, 400, "unsupported_value", "document_annotation_format")


def test_a_file_that_was_left_here_is_read(start_service: StartService) -> None:
    """By its id or its address, by its owner alone; what is no document is named."""
    keys = {name: f"{name}-key-{'0' * 24}" for name in ("alice", "bob")}
    service = start_service(api_keys=",".join(f"{name}:user:{key}" for name, key in keys.items()))
    alice, bob = ({"Authorization": f"Bearer {key}"} for key in keys.values())

    def left(data: bytes) -> str:
        form = {"purpose": "ocr"}
        made = service.http.post("/v1/files", files={"file": ("a.pdf", data)}, data=form, headers=alice).json()
        assert (made["sample_type"], made["source"]) == ("ocr_input", "upload")
        return str(made["id"])

    with broker_of(service, broker := Broker()):
        name, other = left(b"%PDF-1.7\n"), left(b"plain text")
        url = service.http.get(f"/v1/files/{name}/url", headers=alice).json()["url"]
        for document in ({"type": "file", "file_id": name}, {"type": "document_url", "document_url": url}):
            answer = ask(service, headers=alice, document=document)
            assert answer.json()["pages"][0]["text"] == RESULT.text
            check(ask(service, headers=bob, document=document), 404, "not_found", "file_id")
        assert [question.data for question in broker.asked if isinstance(question, OcrDocument)] == [b"%PDF-1.7\n"] * 2
        check(
            ask(service, headers=alice, document={"type": "file", "file_id": other}),
            400,
            "invalid_document",
            "document.file_id",
        )
