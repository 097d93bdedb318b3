"""The folders of a model: the served one, and the next revision on the same disk, activated by a rename.

MODELS_DIR/OWNER/NAME                 served
MODELS_DIR/.pulling/OWNER/NAME/new    being downloaded or converted; kept after an interruption
MODELS_DIR/.pulling/OWNER/NAME/old    between the two renames of an activation
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from src.errors import ExitCode
from src.hub.snapshot import RECORD, PullError

_PULLING = ".pulling"


class ModelFolder:
    """A model's folder, and the folder of its next revision."""

    def __init__(self, models_path: Path, name: str) -> None:
        self.folder = models_path / name
        self._models = models_path
        self._work = models_path / _PULLING / name
        self.next = self._work / "new"
        self._old = self._work / "old"

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Lock this model; repairs an activation that was interrupted between its renames.

        Raises:
            PullError: another process has locked it.
        """
        self._work.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._work, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._restore()
            yield
        except BlockingIOError:
            raise PullError(
                f"{self.folder.name} is being downloaded by another process.", ExitCode.ALREADY_RUNNING
            ) from None
        finally:
            os.close(descriptor)
            self._remove_empty_folders()

    def activate(self) -> None:
        """Replace the model by its completed next revision."""
        self.folder.parent.mkdir(exist_ok=True)
        if self.folder.exists():
            self.folder.rename(self._old)
        self.next.rename(self.folder)
        shutil.rmtree(self._old, ignore_errors=True)

    def _restore(self) -> None:
        if self._old.exists() and not self.folder.exists():
            self._old.rename(self.folder)
        shutil.rmtree(self._old, ignore_errors=True)

    def _remove_empty_folders(self) -> None:
        """Remove empty folders."""
        for folder in (self.next, self._work, *self._work.parents):
            if folder == self._models or (folder.is_dir() and any(folder.iterdir())):
                return
            if folder.is_dir():
                folder.rmdir()


def unfinished(models_path: Path) -> Iterator[tuple[str, Path]]:
    """Partial downloads: name and folder."""
    base = models_path / _PULLING
    for record in sorted(base.glob(f"**/new/{RECORD}")):
        yield record.parent.parent.relative_to(base).as_posix(), record.parent
