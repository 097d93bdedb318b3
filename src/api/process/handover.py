"""Counters outlive their worker: who leaves at a reload (SIGHUP) writes them down, and its successor counts on.

Files in RUNTIME_DIR, taken once each. The first is written before the successor serves; the others, once a second, have
what was counted while the leaving worker finished its requests: a scrape on an idle connection may still be answered by
it, and the next one, by its successor, must not go back.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

import gevent
import msgspec
from loguru import logger

from src import logs
from src.api.process import totals
from src.api.process.totals import Series
from src.metrics import Metrics

_SUFFIX = ".counters"
_EVERY_S = 1.0


class Handover:
    """One per worker."""

    def __init__(self, metrics: Metrics, folder: Path) -> None:
        self._metrics = metrics
        self._folder = folder
        self._left: list[Series] | None = None  # what the successor has been told

    def run(self) -> None:
        """Take over what is left here, until this worker leaves itself."""
        while self._left is None:
            self.take()
            gevent.sleep(_EVERY_S)

    def take(self) -> None:
        """Add what predecessors have left."""
        for path in self._folder.glob(f"*{_SUFFIX}"):
            with suppress(OSError):
                data = path.read_bytes()
                path.unlink()
                self._add(data)

    def leave_on(self) -> None:
        """Leave, and write down what is counted from there on, until the process ends."""
        while True:
            self.leave()
            gevent.sleep(_EVERY_S)

    def leave(self) -> None:
        """Write down what the successor does not know yet. May be called again."""
        self._metrics.note_dropped(logs.dropped())
        now = totals.read(self._metrics.counted)
        news, self._left = totals.subtract(now, self._left or ()), now
        if not news:
            return
        path = self._folder / f"{time.time_ns()}-{os.getpid()}{_SUFFIX}"
        try:
            path.with_suffix(".tmp").write_bytes(msgspec.msgpack.encode(news))
            path.with_suffix(".tmp").rename(path)
        except OSError as error:
            logger.warning("counters begin anew: {} cannot be written: {}", path, error.strerror)

    def _add(self, data: bytes) -> None:
        try:
            series = msgspec.msgpack.decode(data, type=list[Series])
        except msgspec.DecodeError:
            logger.warning("counters begin anew: what the last web process left cannot be read")
            return
        totals.add(self._metrics.counted, series)
