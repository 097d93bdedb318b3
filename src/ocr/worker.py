"""The worker process: loads its recognizer once, then reads one page after the other until the broker exits.

`pool` runs `main` in a spawned process. Over the socketpair it sends `Health` (or `Failed`, if the recognizer cannot be
loaded), then for each request an `Accepted` and the reply of `reader`.
"""

from __future__ import annotations

import faulthandler
import multiprocessing
import multiprocessing.connection
import os
import resource
import select
import signal
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import NoReturn

import psutil

from src import logs
from src.errors import ExitCode, InvalidDocument, ModelLoadFailed
from src.gpu import get_global_manager
from src.ipc import lifeline
from src.ipc.framing import Decoder, encode
from src.ipc.messages.base import Accepted, Failed
from src.ipc.messages.ocr import OcrGivenUp, OcrInspect, OcrRequest
from src.ipc.messages.status import Health, MemoryReading
from src.ipc.messages.wire import AnyMessage
from src.ocr import engine_choice, recognizers
from src.ocr.documents import DocumentLimits
from src.ocr.guard import PageGuard
from src.ocr.heap import Heap
from src.ocr.reader import PageReader
from src.ocr.resident import ResidentRecognizer
from src.ocr.structure.page import PageStructure
from src.settings import ModelSettings, Settings

_CHUNK = 1 << 18
_IDLE_S = 1.0


def main(sock: socket.socket, settings: Settings) -> None:
    """Run a worker process."""
    _prepare_process(settings.ocr_nice)
    logs.configure("ocr-worker", settings, settings.level)
    with sock, suppress(ConnectionError):  # the broker is gone
        channel = Channel(sock)
        recognizer = _load(channel, settings)
        channel.send(Health("ready", os.getpid(), _memory(), engine=recognizer.name))
        if not engine_choice.choose(settings).on_gpu:  # GPU drivers reserve far more address space than they use
            _limit_memory(settings.ocr_worker_memory_mb)
        fallback = recognizers.fallback(settings)
        guard = PageGuard(
            partial(_abort_page, channel),
            cpu_s=settings.ocr_draw_timeout,
            memory_bytes=(settings.ocr_worker_memory_mb << 20) // 2,
        )
        structure = PageStructure(use_model=settings.ocr_layout_model)
        other_scripts = recognizers.other_scripts(settings)
        reader = PageReader(recognizer, DocumentLimits.of(settings), fallback, guard, structure, other_scripts)
        serve(channel, reader, recognizer.idle)


def _prepare_process(nice: int) -> None:
    """Exit with the broker, ignore Ctrl-C, lower the priority, and redirect standard output to standard error."""
    threading.Thread(target=_end_with_parent, name="lifeline", daemon=True).start()
    lifeline.die_with_parent()  # also while hung in a library
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(nice)  # on a CPU, chat comes first
    faulthandler.enable()
    os.dup2(2, 1)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
    os._exit(ExitCode.PARENT_GONE)


def _abort_page(channel: Channel, error: InvalidDocument) -> NoReturn:
    """Native code exceeds its limits and cannot be interrupted: reply in its place, and exit."""
    logs.model.warning("aborting a page and its worker: {}", error.message)
    with suppress(OSError):  # the broker is gone
        channel.send(OcrGivenUp(Failed.of(error)))
    os._exit(ExitCode.FAILURE)


def _memory() -> MemoryReading:
    return MemoryReading(psutil.Process().memory_info().rss)


def _limit_memory(budget_mb: int) -> None:
    """Limit the memory of a page beyond the loaded model, so that its allocation fails instead of the machine."""
    limit = psutil.Process().memory_info().vms + (budget_mb << 20)
    with suppress(ValueError, OSError):  # macOS counts its shared caches, and may refuse
        resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))


def _load(channel: Channel, settings: Settings) -> ResidentRecognizer:
    started = time.monotonic()
    try:
        load = partial(recognizers.load, settings)
        recognizer = ResidentRecognizer(
            load, get_global_manager(), idle_timeout(settings, on_gpu=engine_choice.choose(settings).on_gpu)
        )
    except ModelLoadFailed as error:
        logs.model.error("{}", error.message)
        channel.send(Failed.of(error))
        raise SystemExit(ExitCode.MODEL) from None
    except Exception as error:  # noqa: BLE001  # a library may fail in any way; report to the broker and exit
        logs.model.exception("the recognizer cannot be loaded")
        text = (
            f"The recognizer {settings.ocr_engine!r} cannot be loaded ({type(error).__name__}); the log has the reason."
        )
        channel.send(Failed.of(ModelLoadFailed(text)))
        raise SystemExit(ExitCode.MODEL) from None
    logs.model.info("recognizer {} loaded in {:.2f} s", recognizer.name, time.monotonic() - started)
    return recognizer


def idle_timeout(settings: ModelSettings, *, on_gpu: bool) -> float:
    """Seconds without a page until the recognizer is offloaded; 0 (never) on a CPU."""
    if not on_gpu:
        return 0.0
    return _IDLE_S if settings.offload_after_request else settings.gpu_idle_timeout


def serve(channel: Channel, reader: PageReader, idle: Callable[[], object] = lambda: None) -> None:
    """Read pages until the broker closes; `idle` is called periodically while none is waiting."""
    heap = Heap()
    while (message := channel.receive(idle)) is not None:
        if isinstance(message, OcrRequest | OcrInspect):
            channel.send(Accepted())
            channel.send(reader.answer(message))
            heap.trim()


class Channel:
    """Blocking frames over the socketpair."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._decoder = Decoder()
        self._ready: deque[AnyMessage] = deque()

    def send(self, message: AnyMessage) -> None:
        self._sock.sendall(encode(message))

    def receive(self, idle: Callable[[], object] = lambda: None) -> AnyMessage | None:
        """The next message, or None once the broker has closed."""
        while not self._ready:
            if not select.select([self._sock], [], [], _IDLE_S)[0]:
                idle()
                continue
            data = self._sock.recv(_CHUNK)
            if not data:
                return None
            self._ready.extend(self._decoder.feed(data))
        return self._ready.popleft()
