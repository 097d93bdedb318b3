"""The OCR process for real, with the fake recognizer: spawned workers that crash, hang, stop and are killed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from src.errors import ExitCode
from src.ipc import client, runtime
from src.ipc.messages.base import Failed
from src.ipc.messages.control import Ping
from src.ipc.messages.ocr import OcrRequest, OcrResult
from src.ipc.messages.status import Health, OcrLoad
from src.ipc.messages.wire import AnyMessage
from src.ocr.fake import draw

ROOT = Path(__file__).resolve().parents[3]
PATIENCE_S = 60.0


class OcrProcess:
    """A broker with its workers, as the supervisor would start it."""

    def __init__(self, folder: Path, **settings: object) -> None:
        self.socket = runtime.ocr_socket(folder)
        names = {name.upper(): str(value) for name, value in settings.items()}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "src.ocr.main"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"RUNTIME_DIR": str(folder), "ENABLE_LOG_FILE": "false", "OCR_ENGINE": "fake"} | names,
        )
        self.root = psutil.Process(self._process.pid)
        self._errors = threading.Thread(target=lambda: setattr(self, "log", self._drain()))
        self._errors.start()
        self.log = ""

    def _drain(self) -> str:
        assert self._process.stderr is not None
        return self._process.stderr.read()

    def health(self) -> Health:
        answer = client.ask(self.socket, Ping(), 5)
        assert isinstance(answer, Health)
        return answer

    @property
    def load(self) -> OcrLoad:
        load = self.health().ocr
        assert load is not None
        return load

    def ready(self) -> OcrProcess:
        until(self._is_ready)
        return self

    def _is_ready(self) -> bool:
        with suppress(client.Unanswered):
            return self.health().state == "ready"
        return False

    def ask(self, script: str, name: str = "page") -> AnyMessage:
        return client.ask(self.socket, OcrRequest(name, draw(script)), PATIENCE_S)

    @property
    def workers(self) -> list[psutil.Process]:
        return [child for child in living(self.root.children()) if "spawn_main" in " ".join(child.cmdline())]

    def let_go(self) -> None:
        """What the supervisor's death does: the lifeline closes."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    def wait(self) -> int:
        code = self._process.wait(PATIENCE_S)
        self._errors.join(PATIENCE_S)
        return code

    def end(self) -> None:
        family = [self.root, *self.root.children(recursive=True)] if self.root.is_running() else []
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.wait()
        self.let_go()


def living(processes: list[psutil.Process]) -> list[psutil.Process]:
    return [process for process in processes if _lives(process)]


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


Start = Callable[..., OcrProcess]


@pytest.fixture
def folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(dir="/tmp", prefix="ocr-"))  # short: a socket's path is bounded
    yield path
    shutil.rmtree(path)


@pytest.fixture
def start(folder: Path) -> Iterator[Start]:
    with ExitStack() as stack:

        def start(**settings: object) -> OcrProcess:
            process = OcrProcess(folder, **settings)
            stack.callback(process.end)
            return process

        yield start


def in_background(ask: Callable[[], AnyMessage]) -> tuple[threading.Thread, list[AnyMessage]]:
    answers: list[AnyMessage] = []
    thread = threading.Thread(target=lambda: answers.append(ask()))
    thread.start()
    return thread, answers


def test_twenty_pages_on_two_workers(start: Start) -> None:
    """All are answered, started in order of arrival, and the models were loaded twice in all."""
    ocr = start(ocr_workers=2).ready()
    with ExitStack() as stack:
        streams = []
        for number in range(20):
            stream = stack.enter_context(client.connect(ocr.socket, PATIENCE_S))
            stream.send(OcrRequest(f"page-{number}", draw(f"delay=0.1; text={number}")), PATIENCE_S)
            streams.append((time.monotonic(), stream))
        answers = [(sent, stream.receive(PATIENCE_S)) for sent, stream in streams]
    results = [(sent, answer) for sent, answer in answers if isinstance(answer, OcrResult)]
    assert [result.text for _, result in results] == [str(number) for number in range(20)]
    starts = [sent + result.timings.queue_s for sent, result in results]
    assert all(later > earlier - 0.1 for earlier, later in pairwise(starts))  # exact order: test_admission
    assert (ocr.load.model_loads, ocr.load.pages, ocr.load.worker_restarts) == (2, 20, 0)


def test_a_killed_worker_costs_a_page_one_retry(start: Start) -> None:
    """kill -9 in the middle of a page: its replacement reads it."""
    ocr = start(ocr_workers=1).ready()
    thread, answers = in_background(lambda: ocr.ask("delay=1; text=survived"))
    until(lambda: ocr.load.busy == 1)
    (worker,) = ocr.workers
    worker.kill()
    thread.join(PATIENCE_S)
    (answer,) = answers
    assert isinstance(answer, OcrResult)
    assert answer.text == "survived"
    assert (ocr.load.workers, ocr.load.model_loads, ocr.load.worker_restarts, ocr.load.failures) == (1, 2, 1, 0)


def test_a_page_that_crashes_fails_alone(start: Start) -> None:
    """A poisonous page ends with `ocr_crashed`; the page behind it is read."""
    ocr = start(ocr_workers=1).ready()
    thread, answers = in_background(lambda: ocr.ask("crash"))
    good = ocr.ask("text=good")
    thread.join(PATIENCE_S)
    (poison,) = answers
    assert isinstance(poison, Failed)
    assert poison.code == "ocr_crashed"
    assert isinstance(good, OcrResult)


def test_a_hung_page_kills_its_worker(start: Start) -> None:
    """Past OCR_PAGE_TIMEOUT the worker is killed and replaced, and the next page is read."""
    ocr = start(ocr_workers=1, ocr_page_timeout=0.5).ready()
    (worker,) = ocr.workers
    answer = ocr.ask("hang")
    assert isinstance(answer, Failed)
    assert answer.code == "deadline_exceeded"
    assert isinstance(ocr.ask("text=next"), OcrResult)
    assert not _lives(worker)


def test_stopped_workers_never_block_the_broker(start: Start) -> None:
    """With all workers stopped and a large page on its way to one, health is answered as ever."""
    ocr = start(ocr_workers=2).ready()
    for worker in ocr.workers:
        worker.suspend()
    with client.connect(ocr.socket, PATIENCE_S) as stream:
        stream.send(OcrRequest("large", b"x" * (8 << 20)), PATIENCE_S)
        for _ in range(5):
            assert ocr.health().state == "ready"


def test_a_disconnect_frees_the_queue(start: Start) -> None:
    """Its waiting page is dropped; the page being read is finished for nothing, then the worker is free."""
    ocr = start(ocr_workers=1).ready()
    streams = [client.connect(ocr.socket, PATIENCE_S) for _ in range(2)]
    for stream in streams:
        stream.send(OcrRequest("leaving", draw("delay=0.5")), PATIENCE_S)
    until(lambda: (ocr.load.busy, ocr.load.waiting) == (1, 1))
    for stream in streams:
        stream.close()
    until(lambda: (ocr.load.busy, ocr.load.waiting) == (0, 0))
    assert (ocr.load.pages, ocr.load.worker_restarts) == (1, 0)


@pytest.mark.parametrize("how", ["kill -9", "lifeline"])
def test_no_process_outlives_the_broker(start: Start, how: str) -> None:
    """Workers, also busy ones, and multiprocessing's own process end by themselves."""
    ocr = start(ocr_workers=2).ready()
    thread, _ = in_background(lambda: _or_none(lambda: ocr.ask("hang")))
    until(lambda: ocr.load.busy == 1)
    children = ocr.root.children(recursive=True)
    assert len(children) >= 2
    if how == "lifeline":
        ocr.let_go()
        assert ocr.wait() == ExitCode.PARENT_GONE
    else:
        ocr.root.kill()
    until(lambda: not living(children))
    thread.join(PATIENCE_S)


def _or_none(ask: Callable[[], AnyMessage]) -> AnyMessage:
    try:
        return ask()
    except client.Disconnected:
        return Failed("disconnected", "as it should be")


def test_sigterm_shuts_down_gracefully(start: Start) -> None:
    """Pages get `server_shutdown`, workers end even when hung, the socket is gone, the exit code 0."""
    ocr = start(ocr_workers=1).ready()
    thread, answers = in_background(lambda: ocr.ask("hang"))
    until(lambda: ocr.load.busy == 1)
    children = ocr.root.children(recursive=True)
    ocr.root.terminate()
    assert ocr.wait() == ExitCode.OK
    thread.join(PATIENCE_S)
    (answer,) = answers
    assert isinstance(answer, Failed)
    assert answer.code == "server_shutdown"
    assert not ocr.socket.exists()
    until(lambda: not living(children))


def test_a_second_broker_exits(start: Start) -> None:
    """A living broker's socket is not taken over; a dead one's is."""
    first = start(ocr_workers=1).ready()
    assert start(ocr_workers=1).wait() == ExitCode.ALREADY_RUNNING
    assert first.health().state == "ready"
    first.root.kill()
    first.wait()
    assert first.socket.exists()
    assert start(ocr_workers=1).ready().health().state == "ready"


def test_bad_settings_are_listed_at_once(start: Start) -> None:
    """Every problem is printed, and the exit code tells the supervisor not to try again."""
    ocr = start(ocr_workers=1000, ocr_queue_size=0)
    assert ocr.wait() == ExitCode.CONFIG
    assert "OCR_WORKERS" in ocr.log
    assert "OCR_QUEUE_SIZE" in ocr.log


def test_the_broker_stays_small(start: Start) -> None:
    """Neither the recognizer's libraries nor numpy or Pillow are in the broker."""
    code = (
        "import sys, src.ocr.main; print([n for n in ('numpy', 'PIL', 'cv2', 'rapidocr', 'mlx') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert start(ocr_workers=1).ready().root.memory_info().rss < 80 << 20
