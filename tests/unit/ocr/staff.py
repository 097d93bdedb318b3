"""Workers without processes, for tests of admission and pool: they do what the test tells them, at once."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import weakref
from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

from src.ipc.messages.base import Accepted, Failed
from src.ipc.messages.ocr import OcrInspect, OcrRequest, OcrResult, OcrTimings
from src.ipc.messages.status import Health, MemoryReading
from src.ipc.messages.wire import AnyMessage
from src.ocr.admission import Admission, QueuedPage
from src.ocr.job_store import JobStore
from src.ocr.jobs import Jobs
from src.ocr.pool import Pool, WorkerRecycling
from src.ocr.spool import Spool
from src.settings import OcrSettings

READY = Health("ready", os.getpid(), MemoryReading(1), engine="fake")


def result(text: str = "text", took_s: float = 1.0) -> OcrResult:
    return OcrResult("fake", text, (), 1, 1, 0, 0.0, OcrTimings(0.0, 0.0, took_s))


class AtOnce(Executor):
    """Does what a thread would do, here and now: the clock of these tests knows no threads."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001  # as executors do
            future.set_exception(error)
        return future


class FakeWorker:
    """Loads, takes pages, and answers when `say` is called."""

    def __init__(self, staff: Staff) -> None:
        self._staff = staff
        self._inbox: asyncio.Queue[AnyMessage | None] = asyncio.Queue()
        self.gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.pid = len(staff.workers)
        self.killed = False
        self.ended = False

    @property
    def alive(self) -> bool:
        return not self.gone.done()

    def memory_bytes(self) -> int:
        return self._staff.memory

    async def start(self) -> None:
        if self._staff.mute:
            return
        if self._staff.first_words is None:
            self.die()
        else:
            self.say(self._staff.first_words)

    def send(self, message: AnyMessage, /) -> None:
        assert isinstance(message, OcrRequest | OcrInspect)
        self._staff.given.append((message.id, self))
        self._staff.messages.append(message)
        if self._staff.accepting:
            self.say(Accepted())

    async def receive(self) -> AnyMessage | None:
        return await self._inbox.get()

    def kill(self) -> None:
        self.killed = True
        self.die()

    async def end(self) -> None:
        self.die()
        self.ended = True

    def say(self, message: AnyMessage) -> None:
        self._inbox.put_nowait(message)

    def die(self) -> None:
        self._inbox.put_nowait(None)
        if not self.gone.done():
            self.gone.set_result(None)


class Staff:
    """The pool, its line, and every worker it ever had. `given`: page and worker, in order."""

    def __init__(self, **settings: float) -> None:
        self.workers: list[FakeWorker] = []
        self.given: list[tuple[str, FakeWorker]] = []
        self.messages: list[OcrRequest | OcrInspect] = []
        self.first_words: AnyMessage | None = READY
        self.accepting = True
        self.mute = False
        self.memory = 0
        self.settings = OcrSettings.model_validate({"ocr_workers": 1, **settings})
        size = self.settings.ocr_workers
        recycling = WorkerRecycling(self.settings.ocr_recycle_pages, self.settings.ocr_worker_memory_mb << 20)
        self.pool = Pool(1 if size == "auto" else size, self.settings.ocr_page_timeout, self._hire, recycling)
        self.admission = Admission(self.settings, self.pool)
        folder = Path(tempfile.mkdtemp(prefix="st-"))
        # a TemporaryDirectory would warn, and pytest read source to say so: in the middle of whatever is parsed then
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self.spool = Spool(folder, AtOnce())
        self.jobs = Jobs(self.settings, self.admission, JobStore(folder), self.spool, thread=AtOnce())

    def _hire(self) -> FakeWorker:
        self.workers.append(FakeWorker(self))
        return self.workers[-1]

    async def open(self) -> Staff:
        self.pool.start(self.admission.pump)
        await settled()
        return self

    def submit(self, *names: str) -> list[QueuedPage]:
        return [self.admission.submit(OcrRequest(name, b"image")) for name in names]

    async def answer(self, name: str, took_s: float = 1.0) -> None:
        """The worker that was given the page last answers it."""
        self.worker_of(name).say(result(name, took_s))
        await settled()

    def worker_of(self, name: str) -> FakeWorker:
        return next(worker for page, worker in reversed(self.given) if page == name)

    @property
    def started(self) -> list[str]:
        return [page for page, _ in self.given]

    async def close(self) -> None:
        await self.admission.close()
        await self.pool.close()


async def settled() -> None:
    """Let everything happen that can without time passing."""
    for _ in range(50):
        await asyncio.sleep(0)


async def failure(page: QueuedPage) -> Failed:
    outcome = await page.outcome
    assert isinstance(outcome, Failed)
    return outcome


async def text(page: QueuedPage) -> str:
    outcome = await page.outcome
    assert isinstance(outcome, OcrResult)
    return outcome.text
