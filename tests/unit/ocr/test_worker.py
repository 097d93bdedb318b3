"""A worker's answer to a page: results, errors in fixed texts, and nothing of a library's own words."""

from __future__ import annotations

import io
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from loguru import logger

from src.ipc.framing import Decoder, encode
from src.ipc.messages.base import Accepted, Failed
from src.ipc.messages.control import Ping
from src.ipc.messages.ocr import OcrContents, OcrRequest, OcrResult
from src.ipc.messages.wire import AnyMessage
from src.ocr import recognizers, worker
from src.ocr.documents import DocumentLimits
from src.ocr.fake import FakeRecognizer, draw
from src.ocr.reader import PageReader
from src.ocr.reading import Pixels, Reading
from src.settings import ROOT
from tests.conftest import MakeSettings
from tests.unit.ocr.pictures import file, line


def answer(image: bytes, *, base64: bool = False) -> OcrResult | OcrContents | Failed:
    return PageReader(FakeRecognizer(), DocumentLimits()).answer(OcrRequest("page-1", image, base64))


def test_a_page_is_read() -> None:
    """A result carries the text, its lines, the size and what the parts took."""
    result = answer(draw("text=hello"))
    assert isinstance(result, OcrResult)
    assert (result.engine, result.text, [line.text for line in result.lines]) == ("fake", "hello", ["hello"])
    assert (result.width, result.height) == (len("fake: text=hello"), 8)
    assert result.timings.decode_s > 0


def test_other_pictures_read_as_their_size() -> None:
    """The fake recognizer is deterministic for any picture."""
    result = answer(file(line()))
    assert isinstance(result, OcrResult)
    assert result.text == "a page of 420 × 64 pixels"


def test_a_bad_image_is_the_clients_error() -> None:
    """What is wrong with the file is told as `invalid_image`, with its parameter."""
    result = answer(b"junk")
    assert isinstance(result, Failed)
    assert (result.code, result.param) == ("invalid_image", "file")


def test_library_errors_are_logged_only() -> None:
    """The client gets a fixed text; the log has the traceback under the request's id."""
    log = io.StringIO()
    sink = logger.add(log, format="{extra[request_id]} {message}")
    from src.logs import _patch

    logger.configure(patcher=_patch)
    try:
        result = answer(draw("error"))
    finally:
        logger.remove(sink)
    assert isinstance(result, Failed)
    assert result.code == "internal_error"
    assert "asked" not in result.message
    assert "page-1 reading a page failed unexpectedly" in log.getvalue()
    assert "RuntimeError: the page requested an error" in log.getvalue()


def test_out_of_memory_is_not_a_client_error() -> None:
    """MemoryError on a page is ours, and does not end the worker."""

    class Greedy:
        name = "greedy"
        languages = None

        def read(self, page: Pixels, language: str | None = None) -> Reading:
            raise MemoryError

    result = PageReader(Greedy(), DocumentLimits()).answer(OcrRequest("page-1", draw("x")))
    assert isinstance(result, Failed)
    assert result.code == "internal_error"


def test_a_page_cannot_take_the_machines_memory() -> None:
    """Beyond OCR_WORKER_MEMORY_MB an allocation fails in the worker, as an exception it survives."""
    if sys.platform != "linux":
        pytest.skip("macOS does not bound address space")
    code = (
        "import numpy; from src.ocr import worker; worker._limit_memory(256); numpy.ones(16 << 20)\n"
        "try: numpy.ones(64 << 20)\nexcept MemoryError: print('refused')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("refused\n", "")


def test_pages_are_accepted_then_answered_until_the_broker_closes() -> None:
    """Over the socketpair each page is acknowledged, then answered; other messages are ignored; EOF ends the worker."""
    ours, theirs = socket.socketpair()
    thread = threading.Thread(
        target=lambda: worker.serve(worker.Channel(theirs), PageReader(FakeRecognizer(), DocumentLimits()))
    )
    thread.start()
    with ours, theirs:
        ours.sendall(encode(Ping()) + encode(OcrRequest("1", draw("text=one"))) + encode(OcrRequest("2", b"")))
        ours.shutdown(socket.SHUT_WR)
        thread.join(timeout=30)
        theirs.close()
        messages = _all(ours)
    assert [type(message) for message in messages] == [Accepted, OcrResult, Accepted, Failed]
    assert not thread.is_alive()


def test_idle_is_called_while_no_page_is_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the worker's own thread, which is the one that may move its model; pages that come go first."""
    monkeypatch.setattr(worker, "_IDLE_S", 0.01)
    ours, theirs = socket.socketpair()
    looks: list[int] = []

    def idle() -> None:
        looks.append(threading.get_ident())
        if len(looks) == 2:
            ours.sendall(encode(OcrRequest("1", draw("text=one"))))
            ours.shutdown(socket.SHUT_WR)

    with ours:
        with theirs:
            worker.serve(worker.Channel(theirs), PageReader(FakeRecognizer(), DocumentLimits()), idle)
        assert [type(message) for message in _all(ours)] == [Accepted, OcrResult]
    assert looks == [threading.get_ident()] * 2


@pytest.mark.parametrize(
    ("on_gpu", "settings", "seconds"),
    [(True, {"gpu_idle_timeout": 300}, 300), (True, {"offload_after_request": True}, 1), (False, {}, 0)],
)
def test_the_idle_timeout_of_the_recognizer(
    make_settings: MakeSettings, on_gpu: bool, settings: dict[str, Any], seconds: float
) -> None:
    """As chat models do; on a processor there is nothing to leave."""
    assert worker.idle_timeout(make_settings(**settings), on_gpu=on_gpu) == seconds


def _all(sock: socket.socket) -> list[AnyMessage]:
    decoder, messages = Decoder(), []
    while data := sock.recv(1 << 16):
        messages += decoder.feed(data)
    return messages


@pytest.mark.parametrize("engine", ["fake"])
def test_the_engine_is_chosen_by_its_setting(make_settings: MakeSettings, engine: str) -> None:
    """OCR_ENGINE names what is loaded."""
    assert recognizers.load(make_settings(ocr_engine=engine)).name == engine


def test_onnxruntime_keeps_no_id_and_tells_nobody(tmp_path: Path) -> None:
    """Its telemetry is on in the published wheels, and off in our processes: nothing of it is in the home folder."""
    environment = {"HOME": str(tmp_path), "PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}
    code = "import src.ocr.worker, onnxruntime"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, check=True, timeout=60)
    assert not [path for path in tmp_path.rglob("*") if "onnxruntime" in path.name]
