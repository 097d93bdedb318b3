"""`run.py ocr FILES…`: OCR of many files, by the running service or a temporary broker. Called by `commands/ocr`.

Output is written atomically, and files with existing output are skipped: an interrupted run can be resumed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import msgspec
from tqdm import tqdm

from src.api.ocr import formats, shapes
from src.api.ocr.page_parts import View
from src.api.ocr.schemas import Format, OcrFields
from src.documents import kinds
from src.errors import ExitCode, OcrCrashed, ServiceError
from src.installation import command
from src.ipc import client, runtime
from src.ipc.messages.base import Failed
from src.ipc.messages.control import Ping
from src.ipc.messages.ocr import OcrDocument, OcrFinished, OcrPage, OcrResult, OcrTaken
from src.ipc.messages.status import Health
from src.settings import ROOT, Settings, process_environment

_SUFFIX: dict[Format, str] = {
    "json": ".json",
    "text": ".txt",
    "markdown": ".md",
    "html": ".html",
    "hocr": ".hocr",
    "alto": ".xml",
    "pdf": ".ocr.pdf",
}
_CONNECT_S = 5.0
_CONCURRENT_FILES = 4  # the pages of each file are read in parallel, too


@dataclass(frozen=True)
class Task:
    """A file and its output path; None is standard output."""

    source: Path
    target: Path | None


class BatchProgress:
    """Finished files and pages, and failures; a bar on standard error if it is a terminal."""

    def __init__(self, files: int) -> None:
        self.failed: list[str] = []
        self._pages = 0
        self._lock = Lock()
        self._bar = tqdm(total=files, unit=" files", file=sys.stderr, disable=not sys.stderr.isatty())

    def page(self) -> None:
        with self._lock:
            self._pages += 1
            self._bar.set_postfix(pages=self._pages)

    def file(self, problem: str | None = None) -> None:
        with self._lock:
            if problem is not None:
                self.failed.append(problem)
                tqdm.write(problem, file=sys.stderr)
            self._bar.update()

    def close(self) -> None:
        """End the bar's line."""
        self._bar.close()


def run(paths: list[Path], fields: OcrFields, out: Path | None, settings: Settings) -> ExitCode:
    """Read all files; FAILURE if one failed."""
    tasks = list(plan(paths, out, fields.format))
    remaining = [task for task in tasks if task.target is None or not task.target.exists()]
    if len(remaining) < len(tasks):
        sys.stderr.write(f"{len(tasks) - len(remaining)} files already have output\n")
    if out is None and fields.format == "pdf":
        sys.stderr.write("--format pdf requires an output folder: -o DIR\n")
        return ExitCode.FAILURE
    if not tasks:
        sys.stderr.write("No readable file found.\n")
        return ExitCode.FAILURE
    if not remaining:
        return ExitCode.OK
    progress = BatchProgress(len(remaining))
    try:
        with closing(progress), service(settings) as socket:
            _read_all(remaining, fields, socket, progress, settings)
    except (RuntimeError, client.ConnectError) as error:
        sys.stderr.write(f"{error}\n")
        return ExitCode.FAILURE
    return ExitCode.FAILURE if progress.failed else ExitCode.OK


def plan(paths: list[Path], out: Path | None, wanted: Format) -> Iterator[Task]:
    """The given files, and files of known formats in folders. Sub-folders are kept in the output."""
    for path in paths:
        if not path.is_dir():
            yield Task(path, _target(Path(path.name), out, wanted))
            continue
        for file in sorted(path.rglob("*")):
            inside_out = out is not None and file.is_relative_to(out)
            if not inside_out and file.is_file() and _kind(file) is not None:
                yield Task(file, _target(file.relative_to(path), out, wanted))


def _target(name: Path, out: Path | None, wanted: Format) -> Path | None:
    return None if out is None else out / name.with_name(name.name + _SUFFIX[wanted])


def _kind(path: Path) -> kinds.DocumentKind | None:
    try:
        with path.open("rb") as file:
            return kinds.kind(file.read(kinds.HEAD_BYTES))
    except OSError:
        return None


def _read_all(tasks: list[Task], fields: OcrFields, socket: Path, progress: BatchProgress, settings: Settings) -> None:
    with ThreadPoolExecutor(_CONCURRENT_FILES) as executor:
        answers = [executor.submit(_attempt, task, fields, socket, progress, settings) for task in tasks]
        for task, answer in zip(tasks, answers, strict=True):
            data = answer.result()
            if task.target is None and data is not None:
                sys.stdout.buffer.write(data)
                sys.stdout.flush()


def _attempt(task: Task, fields: OcrFields, socket: Path, progress: BatchProgress, settings: Settings) -> bytes | None:
    """The output, written if it has a target; None on failure."""
    try:
        pages, size, pdf = read(task.source, fields, socket, settings, progress.page)
        data = pdf or render(task.source.name, pages, size, fields)
        if task.target is not None:
            _write(task.target, data)
    except (OSError, ServiceError) as error:
        why = error.message if isinstance(error, ServiceError) else error.strerror
        progress.file(f"{task.source}: {why}")
        return None
    failed = [page.number + 1 for page in pages if isinstance(page.outcome, Failed)]
    progress.file(f"{task.source}: pages {failed} failed" if failed else None)
    return data


def read(
    path: Path, fields: OcrFields, socket: Path, settings: Settings, on_page: Callable[[], None]
) -> tuple[list[OcrPage], int, bytes]:
    """All pages of a file, its size, and the file itself if it is a PDF that was made searchable.

    Raises:
        ServiceError: the file or all of its pages failed.
    """
    data = path.read_bytes()
    timeout_s = settings.ocr_job_ttl
    document = OcrDocument(
        uuid.uuid4().hex,
        data,
        pages=fields.ranges(),
        options=fields.options(),
        priority=fields.priority or "low",
        max_pages=settings.ocr_max_pages,
        timeout_s=timeout_s,
    )
    *events, last = _events(document, socket, settings, on_page)
    pages = [event for event in events if isinstance(event, OcrPage)]
    errors = [page.outcome for page in pages if isinstance(page.outcome, Failed)]
    if errors and len(errors) == len(pages):
        raise errors[0].error()
    return pages, len(data), last.pdf if isinstance(last, OcrFinished) else b""


def _events(
    document: OcrDocument, socket: Path, settings: Settings, on_page: Callable[[], None]
) -> Iterator[OcrPage | OcrFinished]:
    idle_timeout_s = settings.ocr_queue_timeout + 2 * settings.ocr_page_timeout
    try:
        with client.connect(socket, _CONNECT_S) as stream:
            stream.send(document, idle_timeout_s)
            while not isinstance(event := stream.receive(idle_timeout_s), OcrFinished):
                if isinstance(event, Failed):
                    raise event.error()
                if isinstance(event, OcrPage):
                    on_page()
                    yield event
                elif not isinstance(event, OcrTaken):
                    break
            yield event if isinstance(event, OcrFinished) else OcrFinished()
    except client.Unanswered:
        raise OcrCrashed("The OCR service disconnected; run this again to resume.") from None


def render(name: str, pages: list[OcrPage], size: int, fields: OcrFields) -> bytes:
    view = View.of(fields)
    if fields.format == "json":
        return msgspec.json.encode(shapes.document(name, pages, size, view)) + b"\n"
    ordered = sorted(pages, key=lambda page: page.number)
    read = [(page.number, page.outcome) for page in ordered if isinstance(page.outcome, OcrResult)]
    return formats.render(read, fields.format, view)


def _write(target: Path, data: bytes) -> None:
    """Write atomically."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{os.getpid()}")
    part.write_bytes(data)
    part.replace(target)


# ---- the OCR service


@contextmanager
def service(settings: Settings) -> Iterator[Path]:
    """The socket of the running OCR broker, or of one started for this run.

    Raises:
        RuntimeError: no broker could be started.
    """
    running = runtime.ocr_socket(settings.runtime_path)
    if _is_ready(running):
        yield running
        return
    with tempfile.TemporaryDirectory(prefix="stoker-", dir="/tmp") as folder:  # private; short, for a socket
        environment = process_environment(
            "ocr", settings, RUNTIME_DIR=folder, STATE_DIR=folder, ENABLE_LOG_FILE="false", LOG_LEVEL="ERROR"
        )
        broker = subprocess.Popen(
            [sys.executable, "-m", "src.ocr.main"], cwd=ROOT, env=environment, stdin=subprocess.PIPE
        )
        try:
            socket = runtime.ocr_socket(Path(folder))
            _wait(socket, broker, settings.start_timeout)
            yield socket
        finally:
            broker.terminate()
            _reap(broker, settings.stop_timeout)


def _reap(broker: subprocess.Popen[bytes], timeout_s: float) -> None:
    try:
        broker.wait(timeout_s)
    except subprocess.TimeoutExpired:
        broker.kill()
        broker.wait()


def _wait(socket: Path, broker: subprocess.Popen[bytes], timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while not _is_ready(socket):
        if broker.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"The OCR broker did not start; see `{command('check')}`.")
        time.sleep(0.05)


def _is_ready(socket: Path) -> bool:
    try:
        answer = client.ask(socket, Ping(), _CONNECT_S)
    except client.Unanswered:
        return False
    return isinstance(answer, Health) and answer.state == "ready"
