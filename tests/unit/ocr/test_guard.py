"""Pages that ask native code for more than there is: refused in seconds, for good, whatever they are made of."""

from __future__ import annotations

import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from src.errors import InvalidDocument
from src.ipc import client
from src.ipc.messages.base import Failed
from src.ipc.messages.ocr import OcrDocument, OcrPage, OcrResult
from src.ipc.messages.wire import AnyMessage
from src.ocr.guard import PageGuard, ProcessUsage
from tests.unit.ocr.test_main import OcrProcess, until

MIB = 1 << 20


class Process:
    """What a process takes, as a test says."""

    def __init__(self) -> None:
        self.taken = ProcessUsage(0.0, 100 * MIB)
        self.why: list[str] = []
        self.failed_to_start = threading.Event()

    def usage(self) -> ProcessUsage:
        return self.taken

    def give_up(self, error: InvalidDocument) -> None:
        self.why.append(error.message)
        self.failed_to_start.set()

    def guard(self) -> PageGuard:
        return PageGuard(self.give_up, cpu_s=5, memory_bytes=64 * MIB, usage=self.usage)


@pytest.mark.parametrize(
    ("taken", "why"),
    [(ProcessUsage(5.1, 100 * MIB), "OCR_DRAW_TIMEOUT"), (ProcessUsage(0.1, 165 * MIB), "OCR_WORKER_MEMORY_MB")],
)
def test_a_page_over_a_limit_is_aborted(taken: ProcessUsage, why: str) -> None:
    """While the block still runs, and once."""
    process = Process()
    guard = process.guard()
    with guard(1):
        time.sleep(0.15)
        assert not process.failed_to_start.is_set()
        process.taken = taken
        assert process.failed_to_start.wait(5)
    assert [why in text for text in process.why] == [True]


def test_usage_outside_of_blocks_does_not_count() -> None:
    """A recognizer may take as long, and hold as much, as it needs; each block is measured from its own begin."""
    process = Process()
    guard = process.guard()
    with guard(1):
        pass
    process.taken = ProcessUsage(1000.0, 9000 * MIB)
    time.sleep(0.15)
    with guard(1):
        time.sleep(0.15)
    assert not process.failed_to_start.is_set()


# ---- on the real thing


def _pdf(objects: list[bytes]) -> bytes:
    """A file of these objects, the first its catalog; PDFium finds them without a table."""
    body = b"".join(b"%d 0 obj\n%s\nendobj\n" % (number, text) for number, text in enumerate(objects, 1))
    return b"%PDF-1.7\n" + body + b"trailer\n<</Root 1 0 R/Size %d>>\n" % (len(objects) + 1)


def _stream(head: bytes, data: bytes) -> bytes:
    return b"<<%s/Length %d>>stream\n%s\nendstream" % (head, len(data), data)


def doubling(levels: int = 30) -> bytes:
    """2^levels drawings of one form in another."""
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 500 500]/Contents 4 0 R/Resources<</XObject<</F 5 0 R>>>>>>"
    form = b"/Type/XObject/Subtype/Form/BBox[0 0 500 500]"
    objects = [b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Count 1/Kids[3 0 R]>>", page, _stream(b"", b"/F Do")]
    nested = [
        _stream(form + b"/Resources<</XObject<</F %d 0 R>>>>" % number, b"/F Do /F Do")
        for number in range(6, 6 + levels)
    ]
    return _pdf([*objects, *nested, _stream(form, b"0 0 9 9 re f")])


def inflating(megabytes: int = 280) -> bytes:
    """So much content, small drawings, in a file of two megabytes."""
    packed = zlib.compress(b"0 0 9 9 re f\n" * (megabytes * MIB // 13), 1)
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 500 500]/Contents 4 0 R>>"
    objects = [b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Count 1/Kids[3 0 R]>>", page]
    return _pdf([*objects, _stream(b"/Filter/FlateDecode", packed)])


@pytest.fixture(scope="module")
def broker() -> Iterator[OcrProcess]:
    with tempfile.TemporaryDirectory(prefix="st-", dir="/tmp") as folder:
        process = OcrProcess(Path(folder), ocr_workers=1)
        try:
            yield process.ready()
        finally:
            process.end()


def outcome(broker: OcrProcess, data: bytes) -> tuple[Failed, float]:
    """Of its one page, and how long that took."""
    began = time.monotonic()
    with client.connect(broker.socket, 5) as stream:
        stream.send(OcrDocument("id", data), 30)
        messages: list[AnyMessage] = []
        while not any(isinstance(message, OcrPage | Failed) for message in messages):
            messages += stream.receive_all(60)
    last = messages[-1] if isinstance(messages[-1], Failed) else next(m for m in messages if isinstance(m, OcrPage))
    failed = last.outcome if isinstance(last, OcrPage) else last
    assert isinstance(failed, Failed)
    return failed, time.monotonic() - began


@pytest.mark.parametrize(("make", "restarts"), [(doubling, 0), (inflating, 1)])
def test_a_page_over_the_limits_fails_without_a_retry(
    broker: OcrProcess, make: Callable[[], bytes], restarts: int
) -> None:
    """A 400 within seconds, not a 503 that a client would send again; a worker that hangs is replaced, and reads on."""
    data, before = make(), broker.load.worker_restarts
    failed, took_s = outcome(broker, data)
    assert (failed.code, "too complex" in failed.message) == ("invalid_document", True)
    assert took_s < 60, "1 to 3 s on an idle machine"
    until(lambda: (broker.load.worker_restarts, broker.load.workers) == (before + restarts, 1))
    assert isinstance(broker.ask("text=hello"), OcrResult)
