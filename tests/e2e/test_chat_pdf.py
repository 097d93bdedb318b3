"""PDFs in chat on the real service: read by the OCR workers, once; given up when the client leaves."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from typing import Any

import httpx
import psutil
import pytest

from tests.running import Running, service
from tests.unit.ocr import files

pytestmark = pytest.mark.e2e

TEXT = "The north pier is closed\nuntil Thursday next week"


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with service(
        inference_engine="fake", ocr_engine="fake", ocr_workers=2, chat_pdf_pages=4, max_model_len=8192, max_body_mb=4
    ) as started:
        yield started


def chat(running: Running, data: bytes, *, patience: float = 60, **fields: Any) -> httpx.Response:
    url = "data:application/pdf;base64," + base64.b64encode(data).decode()
    part = {"type": "file", "file": {"file_data": url, "filename": "pier.pdf"}}
    body = {"messages": [{"role": "user", "content": [part]}], "max_tokens": 1000, **fields}
    return httpx.post(f"{running.url}/v1/chat/completions", json=body, timeout=patience)


def counted(running: Running, series: str) -> float:
    lines = running.get("/metrics")[1].decode().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(series + " "))


def test_a_pdf_is_read_in_its_place_and_once(running: Running) -> None:
    """The page with text is its own, the empty one has been to the recognizer; the second time nobody reads."""
    data = files.pdf([TEXT, ""])
    first = chat(running, data)
    assert first.status_code == 200, first.text
    said = " ".join(first.json()["choices"][0]["message"]["content"].split())
    assert said.startswith(f"[Document pier.pdf, 2 pages] [Page 1] {' '.join(TEXT.split())} [Page 2] a page of")
    pages = counted(running, 'stoker_ocr_pages_total{result="ok"}')
    again = chat(running, data)
    assert again.json()["usage"]["prompt_tokens"] == first.json()["usage"]["prompt_tokens"] > 20
    assert counted(running, 'stoker_ocr_pages_total{result="ok"}') == pages
    assert counted(running, 'stoker_chat_pdfs_total{result="cached"}') == 1


def test_a_document_that_cannot_be_read(running: Running) -> None:
    """The part is named, whatever is wrong with it."""
    for data, told in (
        (b"%PDF-1.4\n", "PDF"),
        (files.encrypted_pdf(), "encrypted"),
        (files.pdf([TEXT] * 5), "CHAT_PDF_PAGES"),
        (b"no PDF", "not a PDF"),
    ):
        reply = chat(running, data)
        error = reply.json()["error"]
        assert (reply.status_code, error["code"], error["param"]) == (
            400,
            "invalid_document",
            "messages[0].content[0]",
        )
        assert told in error["message"]


def test_a_client_that_leaves(running: Running) -> None:
    """Its PDF is given up: nobody is in flight any more, and the next one is answered."""
    workers = [one for one in psutil.Process(running.pid("ocr")).children() if "spawn_main" in " ".join(one.cmdline())]
    assert workers
    for worker in workers:
        worker.suspend()
    try:
        with pytest.raises(httpx.ReadTimeout):
            chat(running, files.pdf([TEXT, TEXT]), patience=1.0)
        deadline = time.monotonic() + 10
        while counted(running, 'stoker_client_disconnects_total{phase="ocr"}') < 1:
            assert time.monotonic() < deadline, "the client's leaving was not seen"
            time.sleep(0.1)
    finally:
        for worker in workers:
            worker.resume()
    assert chat(running, files.pdf([TEXT])).status_code == 200
