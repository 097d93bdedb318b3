"""PDFs of chat requests: one reading for all who ask at once, and no longer than each of them waits."""

from __future__ import annotations

import base64
from collections.abc import Callable

import gevent
import msgspec
import pytest
from flask import Flask, g

from src.api.app import create_app
from src.api.openai.pdf_reader import PdfReader
from src.api.openai.schemas import FileIn
from src.api.service import EXTENSION, Service
from src.errors import DeadlineExceeded, InvalidDocument, PayloadTooLarge
from src.ipc.messages.chat import ImagePart
from src.ipc.messages.ocr import OcrDocument, OcrPage, OcrResult, OcrTimings
from tests.conftest import MakeSettings

FILE = FileIn(file_data=base64.b64encode(b"%PDF-1.7\n" + bytes(32)).decode())
OTHER = FileIn(file_data=base64.b64encode(b"%PDF-1.7\n" + bytes(33)).decode())
PAGE = OcrPage(0, OcrResult("fake", "hi", (), 1, 1, 0, 0.0, OcrTimings(0, 0, 0)))


@pytest.fixture
def app(make_settings: MakeSettings) -> Flask:
    return create_app(make_settings(inference_engine="fake"))


class Pages:
    """The OCR service: what it is asked, and how long it takes."""

    def __init__(self, app: Flask) -> None:
        self.asked: list[OcrDocument] = []
        self.seconds = 0.05
        self.error: Exception | None = None
        self.count = 1
        shared: Service = app.extensions[EXTENSION]
        shared.pdf_contents.read_pages = self

    def __call__(self, document: OcrDocument, timeout_s: float) -> list[OcrPage]:
        self.asked.append(document)
        gevent.sleep(min(self.seconds, timeout_s))
        if self.error is not None:
            raise self.error
        if self.count > document.max_pages:
            raise PayloadTooLarge("too many", param="pages")
        return [msgspec.structs.replace(PAGE, number=number) for number in range(self.count)]


def reading(app: Flask, timeout_s: float | None = None) -> Callable[[], tuple[str, float | None]]:
    def read() -> tuple[str, float | None]:
        with app.test_request_context("/"):
            g.request_id = "req-1"
            reader = PdfReader(app.extensions[EXTENSION], timeout_s, "normal")
            text = "".join(map(str, reader(FILE, "part", in_result=False)))
            return text, reader.timeout_s(timeout_s)

    return read


def test_many_at_once_read_it_once(app: Flask) -> None:
    """The others wait for the one that reads; their time budgets go on."""
    pages = Pages(app)
    readers = [gevent.spawn(reading(app, 5.0)) for _ in range(4)]
    texts = [reader.get(timeout=10) for reader in readers]
    assert len(pages.asked) == 1
    for text, left_s in texts:
        assert "[Page 1]\nhi" in text
        assert left_s is not None
        assert left_s < 5.0
    assert reading(app, 5.0)()[1] == 5.0  # kept: nothing was waited for
    assert len(app.extensions[EXTENSION].inflight) == 0


def test_who_waits_reads_it_when_the_first_has_failed(app: Flask) -> None:
    pages = Pages(app)
    pages.error = InvalidDocument("damaged", param="file")
    readers = [gevent.spawn(reading(app)) for _ in range(2)]
    for reader in readers:
        with pytest.raises(InvalidDocument) as refused:
            reader.get(timeout=10)
        assert refused.value.param == "part"
    assert len(pages.asked) == 2


def test_who_waits_has_its_own_time_budget(app: Flask) -> None:
    pages = Pages(app)
    pages.seconds = 0.5
    first = gevent.spawn(reading(app))
    gevent.sleep(0)
    with pytest.raises(DeadlineExceeded):
        reading(app, 0.05)()
    assert "hi" in first.get(timeout=10)[0]


def shown(app: Flask, *files: FileIn) -> list[int]:
    """How many pictures a model that sees is shown of each file."""
    with app.test_request_context("/"):
        g.request_id = "req-1"
        reader = PdfReader(app.extensions[EXTENSION], None, "normal", sees=True)
        shown = [reader(file, "part", in_result=False) for file in files]
        return [sum(isinstance(part, ImagePart) for part in parts) for parts in shown]


def test_a_model_that_sees_is_shown_pages(make_settings: MakeSettings) -> None:
    """Rendered and not read, once; beyond CHAT_PDF_PICTURES a document is text, which is found out once."""
    app = create_app(make_settings(inference_engine="fake", chat_pdf_pictures=5, chat_pdf_structure=True))
    pages = Pages(app)
    pages.count = 3
    assert shown(app, FILE) == shown(app, FILE) == [3]
    (asked,) = pages.asked
    assert (asked.options.picture_only, asked.options.structure, asked.max_pages) == (True, False, 5)
    for expected in (2, 0):
        pages.asked.clear()
        assert shown(app, FILE, OTHER) == [3, 0]
        assert len(pages.asked) == expected
    assert shown(app, OTHER) == [3]
    pages.count, pages.asked = 101, []
    with pytest.raises(InvalidDocument, match="at most 100"):
        shown(app, FileIn(file_data=base64.b64encode(b"%PDF-1.7\n" + bytes(34)).decode()))
    assert [(one.max_pages, one.options.picture_only) for one in pages.asked] == [(5, True), (100, False)]
