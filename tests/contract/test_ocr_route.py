"""POST /v1/ocr up to the broker: what is no image never gets there, what is gets through."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from src.errors import InvalidImage, Overloaded
from src.ipc.messages.base import Failed
from src.ipc.messages.ocr import OcrDocument, OcrFinished, OcrLine, OcrPage, OcrRequest, OcrResult, OcrTaken, OcrTimings
from src.ipc.messages.wire import AnyMessage
from src.ipc.server import Peer
from tests.contract.conftest import Service, StartService, broker_of
from tests.contract.test_errors import check

OCR = "/v1/ocr"
PNG = b"\x89PNG\r\n\x1a\n" + b"\x00\x00\x00\rIHDR" + bytes(64)
IMAGES = {
    "png": PNG,
    "jpeg": b"\xff\xd8\xff\xe0" + bytes(64),
    "webp": b"RIFF\x24\x00\x00\x00WEBPVP8 " + bytes(64),
    "gif": b"GIF89a" + bytes(64),
    "bmp": b"BM" + bytes(12) + b"\x28\x00\x00\x00" + bytes(64),
}
NO_IMAGES = {
    "empty": b"",
    "one byte": b"\x89",
    "text": b"hello, I am no image",
    "html": b"<!DOCTYPE html><html><script>alert(1)</script></html>",
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg"/>',
    "pdf header after 2 KB": b" " * 2048 + b"%PDF-1.7\n",
    "shifted png": b" " + PNG,
    "BM in a text": b"BMW is a maker of cars and motorcycles",
}
DOCUMENTS = {
    "tiff": b"II*\0" + bytes(64),
    "pdf": b"%PDF-1.7\n",
    "shifted pdf": b" " * 1020 + b"%PDF-1.7\n",
    "zip": b"PK\x03\x04" + bytes(64),
}
RESULT = OcrResult(
    "fake",
    "hi",
    (OcrLine("hi", 0.9, ((0.0, 0.0), (8.0, 0.0), (8.0, 4.0), (0.0, 4.0))),),
    8,
    4,
    0,
    0.0,
    OcrTimings(0.001, 0.002, 0.003),
)


class Broker:
    """Stands in for the OCR broker: remembers what it is asked and answers what it is told."""

    def __init__(self) -> None:
        self.asked: list[OcrRequest] = []
        self.documents: list[OcrDocument] = []
        self.answer: AnyMessage | None = RESULT

    async def __call__(self, peer: Peer) -> None:
        await self.answering(peer, await peer.receive())

    async def answering(self, peer: Peer, message: AnyMessage | None) -> None:
        if isinstance(message, OcrRequest):
            self.asked.append(message)
            if self.answer is not None:
                peer.send(self.answer)
        if isinstance(message, OcrDocument):
            self.documents.append(message)
            for event in (OcrTaken("pdf", (0, 1)), OcrPage(1, RESULT), OcrPage(0, RESULT), OcrFinished()):
                peer.send(event)


@pytest.fixture
def service(start_service: StartService) -> Service:
    return start_service(engine=False)


@pytest.fixture
def broker(service: Service) -> Iterator[Broker]:
    """A broker on the service's socket."""
    broker = Broker()
    with broker_of(service, broker):
        yield broker


def send(service: Service, data: bytes, name: str = "page.png", field: str = "file") -> httpx.Response:
    return service.http.post(OCR, files={field: (name, data, "image/png")})


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


# ---- what is no image


@pytest.mark.parametrize("data", NO_IMAGES.values(), ids=NO_IMAGES)
def test_a_file_that_is_no_image(data: bytes, service: Service) -> None:
    """The first bytes decide, not the name and not the content type: what is no image is a 400 about the file."""
    check(send(service, data), 400, "invalid_image", "file")


@pytest.mark.parametrize("data", NO_IMAGES.values(), ids=NO_IMAGES)
def test_base64_that_is_no_image(data: bytes, service: Service) -> None:
    """The same in JSON, bare or as a data URL that claims to be a picture."""
    for image in (text(data), f"data:image/png;base64,{text(data)}"):
        code, param = ("invalid_image", "image") if image else ("invalid_value", "image")
        check(service.http.post(OCR, json={"image": image}), 400, code, param)


@pytest.mark.parametrize(
    "image", ["!!!!", "é" * 50, "data:image/png,plain", "data:image/png;base64", "data:;base64,", "====", "\x00", "  "]
)
def test_junk_instead_of_base64(image: str, service: Service) -> None:
    """What cannot be decoded is a 400 about the image."""
    check(service.http.post(OCR, json={"image": image}), 400, "invalid_image", "image")


@pytest.mark.parametrize(
    ("body", "param"),
    [({}, "document"), ({"image": 5}, "image"), ({"image": None}, "document"), ({"image": "x", "dpi": 1}, "dpi")],
)
def test_a_json_body_with_a_wrong_field(body: dict[str, Any], param: str, service: Service) -> None:
    """What is missing, wrong or unknown is named."""
    check(service.http.post(OCR, json=body), 400, "invalid_value", param)


def test_a_form_without_a_file(service: Service) -> None:
    """A form with another field, or with the file as plain text, has no file."""
    check(send(service, PNG, field="picture"), 400, "invalid_value", "file")
    boundary = {"Content-Type": "multipart/form-data; boundary=b"}
    field = b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\nhello\r\n--b--\r\n'
    check(service.http.post(OCR, content=field, headers=boundary), 400, "invalid_value", "file")


@pytest.mark.parametrize("body", [b"", b"junk", b"--b\r\n", b"--b\r\nContent-Disposition: form-data\r\n\r\n"])
def test_a_broken_form(body: bytes, service: Service) -> None:
    """A form that cannot be parsed is a 400."""
    response = service.http.post(OCR, content=body, headers={"Content-Type": "multipart/form-data; boundary=b"})
    check(response, 400, "invalid_value", response.json()["error"]["param"])


@pytest.mark.parametrize("kind", ["image/png", "application/octet-stream", "application/x-www-form-urlencoded", None])
def test_another_content_type(kind: str | None, service: Service) -> None:
    """Only a form or JSON is taken."""
    response = service.http.post(OCR, content=PNG, headers={"Content-Type": kind} if kind else {})
    check(response, 415, "unsupported_media_type", None)


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"image": NaN}', b"\xff"])
def test_malformed_json(body: bytes, service: Service) -> None:
    """The same errors as for chat."""
    response = service.http.post(OCR, content=body, headers={"Content-Type": "application/json"})
    check(response, 400, "invalid_value", "body")


# ---- the broker


def test_no_broker(service: Service) -> None:
    """Without a broker an image is a 503 that says when to come back."""
    response = send(service, PNG)
    check(response, 503, "backend_unavailable", None)
    assert int(response.headers["Retry-After"]) >= 1
    assert len(service.inflight) == 0


def test_ocr_turned_off(start_service: StartService) -> None:
    """OCR_WORKERS=0 is said, and coming back is not suggested."""
    response = send(start_service(engine=False, ocr_workers=0), PNG)
    error = check(response, 503, "backend_unavailable", None)
    assert "OCR_WORKERS" in error["message"]
    assert "Retry-After" not in response.headers


@pytest.mark.parametrize("data", IMAGES.values(), ids=IMAGES)
@pytest.mark.parametrize("name", ["scan.png", "no-name", "x.svg"])
def test_a_file_reaches_the_broker(data: bytes, name: str, service: Service, broker: Broker) -> None:
    """An image goes to the broker byte by byte, whatever it is called, and its text comes back."""
    response = send(service, data, name)
    assert response.status_code == 200
    (asked,) = broker.asked
    assert (asked.image, asked.base64, asked.id) == (data, False, response.headers["X-Request-Id"])
    body = response.json()
    assert (body["object"], body["text"], body["model"], body["width"], body["height"]) == (
        "ocr.document",
        "hi",
        "fake",
        8,
        4,
    )
    assert body["lines"][0]["bbox"] == [0.0, 0.0, 8.0, 4.0]


@pytest.mark.parametrize("data", DOCUMENTS.values(), ids=DOCUMENTS)
def test_a_document_reaches_the_broker_whole(data: bytes, service: Service, broker: Broker) -> None:
    """What may hold several pages is sent once; its pages come back in order, whatever order they are done in."""
    response = service.http.post(OCR, files={"file": ("x.png", data)}, data={"pages": "1-2", "dpi": "200"})
    assert response.status_code == 200
    (asked,) = broker.documents
    assert (asked.data, asked.pages, asked.options.dpi, asked.as_job) == (data, ((0, 1),), 200, "never")
    assert [page["index"] for page in response.json()["pages"]] == [0, 1]


@pytest.mark.parametrize("data", IMAGES.values(), ids=IMAGES)
def test_base64_reaches_the_broker_undecoded(data: bytes, service: Service, broker: Broker) -> None:
    """Decoding is the worker's job: the web process passes the text on."""
    for image in (text(data), f"data:image/png;base64,{text(data)}"):
        assert service.http.post(OCR, json={"image": image}).status_code == 200
        asked = broker.asked.pop()
        assert (asked.image, asked.base64) == (image.encode(), True)


@pytest.mark.parametrize(
    ("answer", "status", "code"),
    [
        (Failed.of(InvalidImage("The image is truncated.", param="file")), 400, "invalid_image"),
        (Failed.of(Overloaded("Too many concurrent OCR requests", retry_after_s=7)), 429, "overloaded"),
        (None, 503, "ocr_crashed"),
    ],
)
def test_a_page_that_fails(answer: AnyMessage | None, status: int, code: str, service: Service, broker: Broker) -> None:
    """The broker's refusals come through as they are; a broker that dies is a clear error; both are counted."""
    broker.answer = answer
    response = send(service, PNG)
    check(response, status, code, "file" if status == 400 else None)
    assert (response.headers.get("Retry-After") == "7") == (status == 429)
    result = {400: "invalid", 429: "overloaded", 503: "error"}[status]
    assert f'stoker_ocr_pages_total{{result="{result}"}} 1.0' in service.http.get("/metrics").text
    assert len(service.inflight) == 0


def test_a_full_house(start_service: StartService, service: Service) -> None:
    """OCR counts among the requests in flight, and is refused while draining."""
    service.inflight.begin_drain()
    check(send(service, PNG), 503, "server_shutdown", None)
