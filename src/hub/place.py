"""Where a model lies, and where the next one of its name is made: a folder beside it that takes its place by rename.

MODELS_DIR/OWNER/NAME          served
MODELS_DIR/OWNER/.NAME.new     being fetched or converted; stays when that is broken off
MODELS_DIR/OWNER/.NAME.old     for the moment between two renames
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from src.errors import ExitCode
from src.hub.snapshot import PullError

_NEW = ".new"


class Place:
    """A model's folder and its neighbours."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.next = folder.with_name(f".{folder.name}{_NEW}")
        self._old = folder.with_name(f".{folder.name}.old")

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody else fetches this model meanwhile; what a dead process left between two renames is put right.

        Raises:
            PullError: somebody does.
        """
        self.next.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.next, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._settle()
            yield
        except BlockingIOError:
            raise PullError(f"{self.folder.name} is being fetched already.", ExitCode.ALREADY_RUNNING) from None
        finally:
            os.close(descriptor)
            if self.next.is_dir() and not any(self.next.iterdir()):
                self.next.rmdir()

    def take(self, made: Path) -> None:
        """The next one is complete, in `made`: it is the model now."""
        if self.folder.exists():
            self.folder.rename(self._old)
        made.rename(self.folder)
        shutil.rmtree(self._old, ignore_errors=True)

    def _settle(self) -> None:
        if self._old.exists() and not self.folder.exists():
            self._old.rename(self.folder)
        shutil.rmtree(self._old, ignore_errors=True)


def unfinished(folder: Path) -> str | None:
    """The name of the model that is being made in this folder; None for any other."""
    if folder.name.startswith(".") and folder.name.endswith(_NEW):
        return folder.name.removeprefix(".").removesuffix(_NEW)
    return None
