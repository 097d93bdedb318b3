"""What `run.py pull` shows on standard error: a bar where that is a terminal, else a line for each tenth."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import TextIO

from src.supervisor.table import duration, size

_BAR = 30
_SHOWN_EVERY_S = 0.1


class Progress:
    """Counts bytes from several threads."""

    def __init__(self, total: int, done: int, clock: Callable[[], float], out: TextIO) -> None:
        self._total = total
        self._done = self._first = done
        self._clock = clock
        self._out = out
        self._began = self._shown_at = clock()
        self._tenth = 10 * done // max(1, total)
        self._lock = Lock()

    def add(self, count: int) -> None:
        """More bytes came; fewer than none, when some had to be thrown away."""
        with self._lock:
            self._done += count
            if self._out.isatty():
                self._draw()
            elif (tenth := 10 * self._done // max(1, self._total)) > self._tenth:
                self._tenth = tenth
                self._out.write(f"{self._text()}\n")

    def close(self) -> None:
        """Whatever is said next has a line of its own."""
        if self._out.isatty() and self._shown_at > self._began and self._done < self._total:
            self._out.write("\n")

    def _draw(self) -> None:
        now, whole = self._clock(), self._done >= self._total
        if now - self._shown_at < _SHOWN_EVERY_S and not whole:
            return
        self._shown_at = now
        full = _BAR * self._done // max(1, self._total)
        end = "\n" if whole else ""
        self._out.write(f"\r\033[K{'█' * full}{'·' * (_BAR - full)} {self._text()}{end}")
        self._out.flush()

    def _text(self) -> str:
        text = f"{size(self._done)} of {size(self._total)}"
        speed = (self._done - self._first) / max(self._clock() - self._began, 1e-3)
        if speed <= 0 or self._done >= self._total:
            return text
        return f"{text}, {size(int(speed))}/s, {duration((self._total - self._done) / speed)} left"
