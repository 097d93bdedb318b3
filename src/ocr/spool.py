"""The spool: documents as files in the state directory, written and deleted by brokers, opened by workers.

Page requests name the file instead of carrying the document. Runs in the broker's event loop; files are written on a
thread, as disks may be slow.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Collection
from concurrent.futures import Executor
from contextlib import suppress
from pathlib import Path

from loguru import logger

from src.errors import BackendUnavailable
from src.state.places import DOCUMENTS

_RETRY_S = 30.0
_ORPHAN_S = 3600.0  # no client waits so long for its document; a job has a row that claims it


class Spool:
    """A private folder of documents."""

    def __init__(self, directory: Path, thread: Executor | None = None) -> None:
        self._thread = thread
        self._folder = directory / DOCUMENTS

    def sweep(self, claimed: Collection[Path], now: float | None = None) -> None:
        """Delete what no job claims and a broker that has ended left; another that shares the folder may be reading."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        oldest = (time.time() if now is None else now) - _ORPHAN_S
        for path in self._folder.iterdir():
            with suppress(OSError):
                if path not in claimed and path.stat().st_mtime < oldest:
                    path.unlink()

    async def put(self, data: bytes) -> Path:
        """Raises BackendUnavailable when it cannot be written."""
        path = self._folder / uuid.uuid4().hex
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, _write, path, data)
        except OSError as error:
            self.remove(path)
            logger.error("a document cannot be stored: {}", error.strerror)
            text = "The document cannot be stored at the moment; the disk may be full."
            raise BackendUnavailable(text, retry_after_s=_RETRY_S) from None
        return path

    def path(self, name: str) -> Path:
        """Where a document lies now: the directory may have been moved since its job was stored."""
        return self._folder / name

    def remove(self, path: Path) -> None:
        """Workers that have it open keep reading."""
        with suppress(OSError):
            path.unlink()


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(mode=0o700, exist_ok=True)  # a cleaner of /tmp may have removed it
    path.touch(mode=0o600)
    path.write_bytes(data)
