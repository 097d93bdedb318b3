"""Where a model lies, and where the next one of its name is made: on the same disk, so that a rename puts it in place.

MODELS_DIR/OWNER/NAME                 served
MODELS_DIR/.pulling/OWNER/NAME/new    being fetched or converted; stays when that is broken off
MODELS_DIR/.pulling/OWNER/NAME/old    for the moment between two renames
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
    """A model's folder, and the one where the next is made."""

    def __init__(self, models_path: Path, name: str) -> None:
        self.folder = models_path / name
        self._models = models_path
        self._work = models_path / _PULLING / name
        self.next = self._work / "new"
        self._old = self._work / "old"

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody else makes this model meanwhile; what a dead process left between two renames is put right.

        Raises:
            PullError: somebody does.
        """
        self._work.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._work, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._settle()
            yield
        except BlockingIOError:
            raise PullError(f"{self.folder.name} is being fetched already.", ExitCode.ALREADY_RUNNING) from None
        finally:
            os.close(descriptor)
            self._sweep()

    def take(self) -> None:
        """The next one is complete: it is the model now."""
        self.folder.parent.mkdir(exist_ok=True)
        if self.folder.exists():
            self.folder.rename(self._old)
        self.next.rename(self.folder)
        shutil.rmtree(self._old, ignore_errors=True)

    def _settle(self) -> None:
        if self._old.exists() and not self.folder.exists():
            self._old.rename(self.folder)
        shutil.rmtree(self._old, ignore_errors=True)

    def _sweep(self) -> None:
        """Remove the folders that are empty."""
        for folder in (self.next, self._work, *self._work.parents):
            if folder == self._models or (folder.is_dir() and any(folder.iterdir())):
                return
            if folder.is_dir():
                folder.rmdir()


def unfinished(models_path: Path) -> Iterator[tuple[str, Path]]:
    """Models whose fetching was broken off or goes on: name and folder."""
    base = models_path / _PULLING
    for record in sorted(base.glob(f"**/new/{RECORD}")):
        yield record.parent.parent.relative_to(base).as_posix(), record.parent
