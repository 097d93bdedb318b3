"""`run.py backup`: one archive of this installation's settings and data, and its restore.

Settings, digests of keys, logs, OCR jobs, files and batches, and with --models the models; readable by its owner
only, as `.env` may contain keys. Caches, sockets and the virtual environment are not included.
"""

from __future__ import annotations

import io
import os
import shutil
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

from src.commands import unit
from src.commands.asking import ask, of_running_service
from src.errors import ExitCode
from src.installation import command
from src.ipc.messages.control import StatusRequest
from src.settings import Settings, home
from src.state.places import BLOBS, DOCUMENTS, EARLIER_JOBS
from src.state.places import FILE as WORK
from src.state.places import PARTIAL as UPLOAD

NAME, HELP = "backup", "write settings, digests of keys, logs, jobs and files into one archive, or restore one"
_TOP = "stoker"
_PARTIAL = ".part"


def configure(parser: ArgumentParser) -> None:
    parser.add_argument("--models", action="store_true", help="include the models")
    parser.add_argument("--output", type=Path, metavar="FILE", help="output file, instead of a dated one here")
    parser.add_argument("--restore", type=Path, metavar="FILE", help="put an archive's files back; none is replaced")


def run(options: Namespace, settings: Settings) -> ExitCode:
    path = options.restore or options.output or Path.cwd() / archive_name(time.time())
    try:
        if options.restore is not None:
            return _restore(path, settings)
        count = write(of_running_service(settings), path, models=options.models, report=_report)
    except (OSError, tarfile.TarError) as error:
        print(
            f"{getattr(error, 'filename', None) or path}: {getattr(error, 'strerror', None) or error}", file=sys.stderr
        )
        return ExitCode.FAILURE
    print(f"{count} files in {path}")
    return ExitCode.OK


def _report(text: str) -> None:
    print(text, file=sys.stderr)


def _restore(path: Path, settings: Settings) -> ExitCode:
    if ask(settings, StatusRequest()) is not None:
        print(f"The service runs: stop it first (`{command('stop')}`).", file=sys.stderr)
        return ExitCode.FAILURE
    restored, kept = restore(path, _places(settings), _report)
    print(f"{restored} files restored" + (f", {kept} kept as they are" if kept else ""))
    return ExitCode.FAILURE if kept else ExitCode.OK


def _places(settings: Settings) -> dict[str, Path]:
    """Where each first part of a name in the archive belongs."""
    places = {
        "env": home() / ".env",
        "logs": settings.log_path,
        "models": settings.models_path,
        "state": settings.state_path,
    }
    if settings.api_keys_path is not None:
        places["api_keys"] = settings.api_keys_path
    return places | {f"service-env-{number}": file for number, file in enumerate(_unit_files(settings))}


def _unit_files(settings: Settings) -> tuple[Path, ...]:
    """The environment files of the installed unit, if that is the service meant."""
    found = unit.installed()
    return found.files if found is not None and found.describes(settings) else ()


def restore(archive: Path, places: dict[str, Path], report: Callable[[str], None]) -> tuple[int, int]:
    """Put files back, for their folders' owner alone; returns how many, and how many exist and are kept."""
    restored = kept = 0
    with tarfile.open(archive) as source:
        for member in source:
            target = _target(member, places)
            if target is None:
                report(f"skipped {member.name}: it has no place here")
            elif target.exists():
                report(f"kept {target}")
                kept += 1
            else:
                _put(source, member, target)
                restored += 1
    return restored, kept


def _target(member: tarfile.TarInfo, places: dict[str, Path]) -> Path | None:
    top, *parts = Path(member.name).parts
    if top != _TOP or not parts or ".." in parts or not member.isfile() or parts[0] not in places:
        return None
    return places[parts[0]].joinpath(*parts[1:])


def _put(source: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    content = source.extractfile(member)
    assert content is not None  # noqa: S101  # `isfile` was asked
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with content, os.fdopen(descriptor, "wb") as file:
        shutil.copyfileobj(content, file)
    if os.getuid() == 0:  # a service's user must be able to read what root puts into its folder
        owner = target.parent.stat()
        os.chown(target, owner.st_uid, owner.st_gid)


def archive_name(now: float) -> str:
    return f"stoker-backup-{datetime.fromtimestamp(now, UTC):%Y%m%dT%H%M%SZ}.tar.gz"


def write(
    settings: Settings, target: Path, *, models: bool, env_file: Path | None = None, report: Callable[[str], None]
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
            for path, inside in _contents(settings, env_file or home() / ".env", models=models):
                count += _add(archive, path, inside, report)
            for path, inside in _state(settings.state_path, Path(scratch), report):
                count += _add(archive, path, inside, report)
        partial.rename(target)
    finally:
        partial.unlink(missing_ok=True)
    return count


def _contents(settings: Settings, env_file: Path, *, models: bool) -> Iterator[tuple[Path, str]]:
    """Each file with its name in the archive."""
    unit_files = [(file, f"service-env-{number}") for number, file in enumerate(_unit_files(settings))]
    for path, inside in ((env_file, "env"), (settings.api_keys_path, "api_keys"), *unit_files):
        if path is not None and path.is_file():
            yield path, inside
    folders = [(settings.log_path, "logs")] + ([(settings.models_path, "models")] if models else [])
    for folder, inside in folders:
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder)
            hidden = any(part.startswith(".") for part in name.parts)  # such as partial downloads
            if path.is_file() and not hidden and not path.name.endswith(".tmp"):
                yield path, f"{inside}/{name}"


def _state(state: Path, scratch: Path, report: Callable[[str], None]) -> Iterator[tuple[Path, str]]:
    """The database as of one moment, whoever writes it, and what lies beside it: files, and documents of OCR jobs that
    are not read to their end. A blob that came later has no row, and is swept up where it is restored."""
    for database in (WORK, EARLIER_JOBS):
        if (state / database).is_file() and _copy(state / database, scratch / database, report):
            yield scratch / database, f"state/{database}"
    for folder in (BLOBS, DOCUMENTS):
        for path in sorted((state / folder).glob("*")):
            if path.suffix != UPLOAD:
                yield path, f"state/{folder}/{path.name}"


def _copy(database: Path, copy: Path, report: Callable[[str], None]) -> bool:
    try:
        with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)
    except sqlite3.Error as error:
        report(f"skipped {database}: {error}")
        return False
    return True


def _add(archive: tarfile.TarFile, path: Path, inside: str, report: Callable[[str], None]) -> int:
    try:
        with path.open("rb") as file:
            info = archive.gettarinfo(arcname=f"{_TOP}/{inside}", fileobj=file)
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
