"""PDFs in chat, on every wire, up to the OCR broker: what the model is shown, what is read once, what is refused."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from src.errors import DeadlineExceeded, InvalidDocument, Overloaded, PayloadTooLarge, ServiceError
from src.ipc.messages.base import Failed
from src.ipc.messages.ocr import OcrDocument, OcrFinished, OcrPage, OcrResult, OcrTaken, OcrTimings
from src.ipc.server import Peer
from tests.contract.conftest import Service, StartService, broker_of, events, text_of
from tests.contract.test_errors import check

PDF = base64.b64encode(b"%PDF-1.7\n" + b"-" * 32).decode()
OTHER = base64.b64encode(b"%PDF-1.7\n" + b"+" * 32).decode()
URL = f"data:application/pdf;base64,{PDF}"
SHOWN = "[Document a.pdf, 2 pages] [Page 1] one [Page 2] two [End of document]"


def page(text: str, markdown: str | None = None) -> OcrResult:
    return OcrResult("fake", text, (), 8, 4, 0, 0.0, OcrTimings(0.001, 0.002, 0.003), markdown=markdown)


class Broker:
    """Stands in for the OCR broker: two pages in the wrong order, or what it is told."""

    def __init__(self) -> None:
        self.asked: list[OcrDocument] = []
        self.pages: list[OcrResult | Failed] = [page("one"), page("2", markdown="two")]
        self.error: ServiceError | None = None
        self.delay_s = 0.0

    async def __call__(self, peer: Peer) -> None:
        message = await peer.receive()
        assert isinstance(message, OcrDocument)
        self.asked.append(message)
        await asyncio.sleep(self.delay_s)
        if self.error is not None:
            peer.send(Failed.of(self.error))
            return
        peer.send(OcrTaken("pdf", tuple(range(len(self.pages)))))
        for number, outcome in reversed(list(enumerate(self.pages))):
            peer.send(OcrPage(number, outcome))
        peer.send(OcrFinished())


@pytest.fixture
def service(start_service: StartService) -> Service:
    return start_service(max_model_len=8192)


@pytest.fixture
def broker(service: Service) -> Iterator[Broker]:
    broker = Broker()
    with broker_of(service, broker):
        yield broker


def chat(service: Service, *parts: dict[str, Any], **fields: Any) -> httpx.Response:
    turns = [{"role": "user", "content": list(parts)}]
    return service.http.post("/v1/chat/completions", json={"messages": turns, "max_tokens": 500, **fields})


def responses(service: Service, *parts: dict[str, Any], **fields: Any) -> httpx.Response:
    turns = [{"role": "user", "content": list(parts)}]
    return service.http.post("/v1/responses", json={"input": turns, "max_output_tokens": 500, **fields})


def messages(service: Service, *blocks: dict[str, Any]) -> httpx.Response:
    turns = [{"role": "user", "content": list(blocks)}]
    return service.http.post("/v1/messages", json={"messages": turns, "max_tokens": 500})


def file(data: str = URL, name: str | None = "a.pdf") -> dict[str, Any]:
    return {"type": "file", "file": {"file_data": data, "filename": name}}


def document(data: str = PDF, **fields: Any) -> dict[str, Any]:
    return {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": data}, **fields}


def said(text: str) -> str:
    """On one line: the fake engine says what it was shown, word by word."""
    return " ".join(text.split())


def content(reply: httpx.Response) -> str:
    assert reply.status_code == 200, reply.text
    return said(reply.json()["choices"][0]["message"]["content"])


# ---- what the model is shown


def test_chat(service: Service, broker: Broker) -> None:
    """In its place in the turn, with marks of its pages, in their order; its tokens are the prompt's."""
    text = [{"type": "text", "text": "before"}, file(), {"type": "text", "text": "after"}]
    reply = chat(service, *text)
    assert content(reply) == f"before {SHOWN} after"
    short = chat(service, text[0], text[2])
    assert reply.json()["usage"]["prompt_tokens"] > short.json()["usage"]["prompt_tokens"]
    assert broker.asked[0].base64


@pytest.mark.parametrize(
    "part",
    [
        file(PDF),
        file("data:application/octet-stream;base64," + PDF),
        {"type": "input_file", "file_data": URL, "filename": "a.pdf"},
        {"type": "file", "mime_type": "application/pdf", "data": PDF, "filename": "a.pdf"},
        document(title="a.pdf"),
    ],
)
def test_spellings_of_chat(part: dict[str, Any], service: Service, broker: Broker) -> None:
    assert content(chat(service, part)) == SHOWN
    assert len(broker.asked) == 1


def test_a_picture_that_is_a_pdf(service: Service, broker: Broker) -> None:
    """A PDF is no picture: neither MAX_IMAGES nor the model's eyes are asked."""
    shown = SHOWN.replace("a.pdf", "document.pdf")
    assert content(chat(service, {"type": "image_url", "image_url": {"url": URL}})) == shown
    assert content(chat(service, {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PDF}"}})) == shown
    assert len(broker.asked) == 1


def test_responses(service: Service, broker: Broker) -> None:
    reply = responses(service, {"type": "input_file", "filename": "a.pdf", "file_data": URL}).json()
    assert said(reply["output"][0]["content"][0]["text"]) == SHOWN
    again = responses(service, {"type": "input_text", "text": "?"}, previous_response_id=reply["id"])
    assert again.status_code == 200
    assert len(broker.asked) == 1


def test_messages(service: Service, broker: Broker) -> None:
    reply = messages(service, document(title="a.pdf", context="About piers"), {"type": "text", "text": "?"}).json()
    assert said(reply["content"][0]["text"]) == f"About piers {SHOWN} ?"
    assert len(broker.asked) == 1


def test_a_streamed_answer(service: Service, broker: Broker) -> None:
    turns = [{"role": "user", "content": [file()]}]
    reply = service.http.post("/v1/chat/completions", json={"messages": turns, "max_tokens": 500, "stream": True})
    assert said(text_of(events(reply.text))) == SHOWN
    assert len(broker.asked) == 1


# ---- read once


def test_a_pdf_is_read_once(service: Service, broker: Broker) -> None:
    """In many turns and requests, on every wire; another one is read for itself."""
    turns = [{"role": "user", "content": [file()]}, {"role": "assistant", "content": "a"}]
    body = {"messages": [*turns, {"role": "user", "content": [file(PDF)]}]}
    assert service.http.post("/v1/chat/completions", json=body).status_code == 200
    assert messages(service, document()).status_code == 200
    assert responses(service, {"type": "input_file", "file_data": PDF}).status_code == 200
    assert len(broker.asked) == 1
    assert chat(service, file(OTHER)).status_code == 200
    assert len(broker.asked) == 2
    metrics = service.http.get("/metrics").text
    assert 'stoker_chat_pdfs_total{result="read"} 2.0' in metrics
    assert 'stoker_chat_pdfs_total{result="cached"} 3.0' in metrics


def test_owners_do_not_share(start_service: StartService) -> None:
    """What one key's PDF says is no other key's to learn, not even by the time it takes."""
    service = start_service(api_keys="a:user:key-of-a-00000000,b:user:key-of-b-00000000", max_model_len=8192)
    broker = Broker()
    with broker_of(service, broker):
        for key in ("key-of-a-00000000", "key-of-b-00000000", "key-of-a-00000000"):
            service.http.headers["Authorization"] = f"Bearer {key}"
            assert chat(service, file()).status_code == 200
    assert [document.owner for document in broker.asked] == ["a", "b"]


# ---- what cannot be read


def test_a_page_that_cannot_be_read(service: Service, broker: Broker) -> None:
    """It is said in its place; that lasts, so it is not tried again."""
    broken = Failed.of(InvalidDocument("The page is damaged.", param="file"))
    broker.pages = [page("one"), broken, page(" ")]
    shown = (
        "[Document a.pdf, 3 pages] [Page 1] one [Page 2 could not be read: The page is damaged.] [Page 3 has no text]"
    )
    for _ in range(2):
        assert content(chat(service, file())) == f"{shown} [End of document]"
    assert len(broker.asked) == 1


def test_what_passes_is_not_kept(service: Service, broker: Broker) -> None:
    broker.pages = [page("one"), Failed.of(DeadlineExceeded("too slow"))]
    assert "[Page 2 could not be read: too slow]" in content(chat(service, file()))
    broker.pages = [page("one"), Failed.of(Overloaded("full", retry_after_s=1))]
    assert chat(service, file()).status_code == 429
    broker.pages = [page("one"), page("two")]
    assert content(chat(service, file())) == SHOWN


@pytest.mark.parametrize("text", ["The PDF is encrypted; send it without a password.", "The PDF is damaged."])
def test_a_document_that_cannot_be_opened(text: str, service: Service, broker: Broker) -> None:
    """A 400 that names the part, as each client has it."""
    broker.error = InvalidDocument(text, param="file")
    first = {"type": "text", "text": "x"}
    error = check(chat(service, first, file()), 400, "invalid_document", "messages[0].content[1]")
    assert error["message"] == text
    part = {"type": "input_file", "file_data": URL}
    check(responses(service, part, instructions="system"), 400, "invalid_document", "input[0].content[0]")
    refused = messages(service, first, document()).json()
    assert text in refused["error"]["message"]
    assert 'stoker_chat_pdfs_total{result="failed"} 3.0' in service.http.get("/metrics").text


@pytest.mark.parametrize("data", ["", "AAAA", "data:application/pdf,x", "data:application/pdf;base64,AAAA", "é" * 40])
def test_no_pdf(data: str, service: Service) -> None:
    """Told by its first bytes, here: nobody else is asked."""
    check(chat(service, file(data)), 400, "invalid_document", "messages[0].content[0]")


def test_a_file_that_is_elsewhere(service: Service) -> None:
    """Nothing is kept or fetched: the field is named."""
    check(chat(service, {"type": "file", "file": {"file_id": "file-1"}}), 400, "unsupported_value", "file_id")
    part = {"type": "input_file", "file_url": "https://a.example/a.pdf"}
    check(responses(service, part), 400, "unsupported_value", "file_url")
    check(responses(service, {"type": "input_file", "file_id": "f"}), 400, "unsupported_value", "file_id")


def test_too_many_pages(start_service: StartService) -> None:
    """All PDFs of a request have one limit, which is named."""
    service = start_service(chat_pdf_pages=3, max_model_len=8192)
    broker = Broker()
    with broker_of(service, broker):
        assert chat(service, file()).status_code == 200
        error = check(chat(service, file(), file(PDF)), 400, "invalid_document", "messages[0].content[1]")
        assert "at most 3" in error["message"]
        assert "CHAT_PDF_PAGES" in error["message"]
        broker.error = PayloadTooLarge("5 pages", param="pages")
        check(chat(service, file(OTHER)), 400, "invalid_document", "messages[0].content[0]")
    assert broker.asked[-1].max_pages == 3


def test_turned_off(start_service: StartService) -> None:
    service = start_service(chat_pdf_pages=0)
    error = check(chat(service, file()), 400, "unsupported_value", "messages[0].content[0]")
    assert "CHAT_PDF_PAGES=0" in error["message"]


@pytest.mark.parametrize("workers", [0, 1])
def test_without_ocr(workers: int, start_service: StartService) -> None:
    service = start_service(ocr_workers=workers)
    assert (chat(service, file()).status_code, chat(service, file()).json()["error"]["code"]) == (
        503,
        "backend_unavailable",
    )


def test_the_time_budget_is_the_requests(service: Service, broker: Broker) -> None:
    """A PDF that takes longer is a 504; what it took is not the answer's any more."""
    broker.delay_s = 1.0
    assert chat(service, file(), timeout=0.2).status_code == 504
    broker.delay_s = 0.0
    assert chat(service, file(), timeout=5).status_code == 200
    assert broker.asked[0].timeout_s <= 0.2


# ---- beside a tool's result


def results(*content: dict[str, Any], beside: tuple[dict[str, Any], ...] = ()) -> list[dict[str, Any]]:
    call = {"type": "tool_use", "id": "t", "name": "Read", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "t", "content": list(content)}
    return [
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": [call]},
        {"role": "user", "content": [result, *beside]},
    ]


@pytest.mark.parametrize("inside", [True, False])
def test_beside_a_result(inside: bool, service: Service, broker: Broker) -> None:
    """It is read; one that cannot be has a line in its place, so that the session goes on."""
    read = {"type": "text", "text": "PDF file read"}
    turns = results(read, document()) if inside else results(read, beside=(document(), {"type": "text", "text": "?"}))
    reply = service.http.post("/v1/messages", json={"messages": turns, "max_tokens": 500})
    assert reply.status_code == 200, reply.text
    assert "X-Ignored-Fields" not in reply.headers
    assert len(broker.asked) == 1
    bad = results(read, document("AAAA")) if inside else results(read, beside=(document("AAAA"),))
    reply = service.http.post("/v1/messages", json={"messages": bad, "max_tokens": 500})
    assert (reply.status_code, reply.headers.get("X-Ignored-Fields")) == (200, "messages.document")


def test_a_result_of_responses(service: Service, broker: Broker) -> None:
    call = {"type": "function_call", "call_id": "c", "name": "read", "arguments": "{}"}
    output = {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_file", "file_data": "AAAA"}]}
    reply = service.http.post("/v1/responses", json={"input": [call, output]})
    assert (reply.status_code, reply.headers.get("X-Ignored-Fields")) == (200, "messages.document")
    assert broker.asked == []


@pytest.mark.parametrize(("workers", "status"), [(0, 200), (1, 503)])
def test_without_ocr_a_session_goes_on(workers: int, status: int, start_service: StartService) -> None:
    """OCR that is turned off stays so; one that is not there now comes back."""
    service = start_service(ocr_workers=workers)
    reply = service.http.post("/v1/messages", json={"messages": results(document()), "max_tokens": 5})
    assert reply.status_code == status, reply.text


def test_strict_fields(start_service: StartService) -> None:
    service = start_service(strict_fields=True)
    turns = results(document("AAAA"))
    assert service.http.post("/v1/messages", json={"messages": turns, "max_tokens": 5}).status_code == 400
