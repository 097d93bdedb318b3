"""Progress of `run.py pull` on standard error: a bar on a terminal, else a line per tenth."""

from __future__ import annotations

from threading import Lock
from typing import TextIO

from tqdm import tqdm

from src.supervisor.table import size


class PullProgress:
    """Counts bytes from several threads."""

    def __init__(self, total: int, done: int, out: TextIO) -> None:
        self._total, self._done, self._out = total, done, out
        self._tenth = self._tenths()
        self._lock = Lock()
        self._bar = tqdm(total=total, initial=done, unit="B", unit_scale=True, file=out, disable=not out.isatty())

    def add(self, count: int) -> None:
        """Add downloaded bytes; negative for discarded ones."""
        with self._lock:
            self._done += count
            self._bar.update(count)
            if self._bar.disable and self._tenths() > self._tenth:
                self._tenth = self._tenths()
                self._out.write(f"{size(self._done)} of {size(self._total)}\n")

    def close(self) -> None:
        """End the bar's line."""
        self._bar.close()

    def _tenths(self) -> int:
        return 10 * self._done // max(1, self._total)
