"""The worker process: loads its recognizer once, then reads one page after the other until the broker is gone.

`pool` runs `main` in a spawned process. Frames of `src.ipc` go over the socketpair: first `Health` (or `Failed`, if the
recognizer cannot be loaded), then for each
`OcrRequest` an `Accepted` and one `OcrResult` or `Failed`.
"""

from __future__ import annotations

import faulthandler
import multiprocessing
import multiprocessing.connection
import os
import signal
import socket
import threading
import time
from collections import deque
from contextlib import suppress

import psutil
from loguru import logger

from src import logs
from src.errors import ExitCode, InternalError, ModelLoadFailed, ServiceError
from src.ipc.framing import Decoder, encode
from src.ipc.messages import (
    Accepted,
    AnyMessage,
    Failed,
    Health,
    MemoryReading,
    OcrLine,
    OcrRequest,
    OcrResult,
    OcrTimings,
)
from src.ocr import documents, recognizers
from src.ocr.reading import Reading
from src.ocr.recognizers import Recognizer
from src.settings import Settings

_CHUNK = 1 << 18


def main(sock: socket.socket, settings: Settings) -> None:
    """The whole life of a worker process."""
    _settle_in()
    logs.configure("ocr-worker", settings, settings.level)
    with sock, suppress(ConnectionError):  # the broker is gone
        channel = Channel(sock)
        recognizer = _load(channel, settings)
        channel.send(Health("ready", os.getpid(), _memory(), engine=recognizer.name))
        serve(channel, recognizer, settings.ocr_max_megapixels)


def _settle_in() -> None:
    """End with the broker, leave Ctrl-C to it, and keep what libraries print off its standard output."""
    threading.Thread(target=_end_with_parent, name="lifeline", daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    faulthandler.enable()
    os.dup2(2, 1)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
    os._exit(ExitCode.PARENT_GONE)


def _memory() -> MemoryReading:
    return MemoryReading(psutil.Process().memory_info().rss)


def _load(channel: Channel, settings: Settings) -> Recognizer:
    started = time.monotonic()
    try:
        recognizer = recognizers.load(settings)
    except Exception as error:  # noqa: BLE001  # a library may fail in any way; the broker is told, then we end
        logs.model.exception("the recognizer cannot be loaded")
        text = (
            f"The recognizer {settings.ocr_engine!r} cannot be loaded ({type(error).__name__}); the log has the reason."
        )
        channel.send(Failed.of(ModelLoadFailed(text)))
        raise SystemExit(ExitCode.MODEL) from None
    logs.model.info("recognizer {} loaded in {:.2f} s", recognizer.name, time.monotonic() - started)
    return recognizer


def serve(channel: Channel, recognizer: Recognizer, max_megapixels: float) -> None:
    """Answer pages until the broker closes."""
    while (message := channel.receive()) is not None:
        if isinstance(message, OcrRequest):
            channel.send(Accepted())
            channel.send(answer(recognizer, message, max_megapixels))


def answer(recognizer: Recognizer, request: OcrRequest, max_megapixels: float) -> OcrResult | Failed:
    """Read one page. Whatever goes wrong in a library stays in the log; the client gets a fixed text."""
    token = logs.request_id.set(request.id)
    try:
        return _read(recognizer, request, max_megapixels)
    except ServiceError as error:
        return Failed.of(error)
    except Exception:  # noqa: BLE001  # process boundary: one page must not take the worker down
        logger.exception("a page could not be read")
        return Failed.of(InternalError())
    finally:
        logs.request_id.reset(token)


def _read(recognizer: Recognizer, request: OcrRequest, max_megapixels: float) -> OcrResult:
    started = time.monotonic()
    page = documents.decode(request.image, base64_text=request.base64, max_megapixels=max_megapixels)
    decoded = time.monotonic()
    reading = recognizer.read(page)
    timings = OcrTimings(0.0, decoded - started, time.monotonic() - decoded)
    height, width = page.shape[:2]
    return OcrResult(
        engine=recognizer.name,
        text=reading.text,
        lines=_lines(reading),
        width=width,
        height=height,
        rotation=reading.rotation,
        skew_degrees=reading.skew_degrees,
        timings=timings,
    )


def _lines(reading: Reading) -> tuple[OcrLine, ...]:
    return tuple(OcrLine(line.text, line.confidence, line.polygon) for line in reading.lines)


class Channel:
    """Blocking frames over the socketpair; the worker has nothing else to do while it waits."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._decoder = Decoder()
        self._ready: deque[AnyMessage] = deque()

    def send(self, message: AnyMessage) -> None:
        self._sock.sendall(encode(message))

    def receive(self) -> AnyMessage | None:
        """The next message, or None once the broker has closed."""
        while not self._ready:
            data = self._sock.recv(_CHUNK)
            if not data:
                return None
            self._ready.extend(self._decoder.feed(data))
        return self._ready.popleft()
