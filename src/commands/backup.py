"""`run.py backup`: one archive of this installation's settings and data.

Settings, digests of keys, logs, OCR jobs, and with --models the models; readable by its owner only, as `.env` may
contain keys. Caches, sockets and the virtual environment are not included.
"""

from __future__ import annotations

import io
import os
import sqlite3
import sys
import tarfile
import tempfile
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, cast

from src.errors import ExitCode
from src.ocr.job_store import FILE as JOBS
from src.ocr.spool import FOLDER as DOCUMENTS
from src.settings import ROOT, Settings

NAME, HELP = "backup", "write settings, digests of keys, logs and OCR jobs into one archive"
_PARTIAL = ".part"


def configure(parser: ArgumentParser) -> None:
    parser.add_argument("--models", action="store_true", help="include the models")
    parser.add_argument("--output", type=Path, metavar="FILE", help="output file, instead of a dated one here")


def run(options: Namespace, settings: Settings) -> ExitCode:
    path = options.output or Path.cwd() / archive_name(time.time())
    try:
        count = write(settings, path, models=options.models, report=lambda text: print(text, file=sys.stderr))
    except OSError as error:
        print(f"{path}: {error.strerror or error}", file=sys.stderr)
        return ExitCode.FAILURE
    print(f"{count} files in {path}")
    return ExitCode.OK


def archive_name(now: float) -> str:
    return f"stoker-backup-{datetime.fromtimestamp(now, UTC):%Y%m%dT%H%M%SZ}.tar.gz"


def write(
    settings: Settings, target: Path, *, models: bool, env_file: Path = ROOT / ".env", report: Callable[[str], None]
) -> int:
    """Write the archive atomically; returns its number of files. A log that is rotated meanwhile is skipped."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(target.name + _PARTIAL)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        count = 0
        with (
            os.fdopen(descriptor, "wb") as file,
            tarfile.open(fileobj=file, mode="w:gz") as archive,
            tempfile.TemporaryDirectory(dir=target.parent) as scratch,
        ):
            for path, inside in _contents(settings, env_file, models=models):
                count += _add(archive, path, inside, report)
            for path, inside in _jobs(settings.state_path, Path(scratch), report):
                count += _add(archive, path, inside, report)
        partial.rename(target)
    finally:
        partial.unlink(missing_ok=True)
    return count


def _contents(settings: Settings, env_file: Path, *, models: bool) -> Iterator[tuple[Path, str]]:
    """Each file with its name in the archive."""
    for path, inside in ((env_file, "env"), (settings.api_keys_path, "api_keys")):
        if path is not None and path.is_file():
            yield path, inside
    folders = [(settings.log_path, "logs")] + ([(settings.models_path, "models")] if models else [])
    for folder, inside in folders:
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder)
            hidden = any(part.startswith(".") for part in name.parts)  # such as partial downloads
            if path.is_file() and not hidden and not path.name.endswith(".tmp"):
                yield path, f"{inside}/{name}"


def _jobs(state: Path, scratch: Path, report: Callable[[str], None]) -> Iterator[tuple[Path, str]]:
    """OCR jobs: the database as of one moment, whoever writes it, and documents that are not read to their end."""
    database, copy = state / JOBS, scratch / JOBS
    if not database.is_file():
        return
    try:
        with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)
    except sqlite3.Error as error:
        report(f"skipped {database}: {error}")
        return
    yield copy, f"state/{JOBS}"
    for path in sorted((state / DOCUMENTS).glob("*")):
        yield path, f"state/{DOCUMENTS}/{path.name}"


def _add(archive: tarfile.TarFile, path: Path, inside: str, report: Callable[[str], None]) -> int:
    try:
        with path.open("rb") as file:
            info = archive.gettarinfo(arcname=f"stoker/{inside}", fileobj=file)
            archive.addfile(info, cast(BinaryIO, _FixedSizeReader(file, info.size)))
    except OSError as error:
        report(f"skipped {path}: {error.strerror or error}")
        return 0
    return 1


class _FixedSizeReader(io.RawIOBase):
    """Exactly `size` bytes of a file that may change while it is read: tar has written its size already."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._left = size

    def read(self, size: int = -1) -> bytes:
        size = self._left if size < 0 else size
        data = self._file.read(min(size, self._left))
        data += b"\0" * (min(size, self._left) - len(data))
        self._left -= len(data)
        return data
