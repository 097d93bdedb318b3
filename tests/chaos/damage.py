"""Kills and stops processes of a running service at random, and restarts the supervisor as systemd would."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

import psutil

from tests.running import Running

Hit = Callable[[], object]


class Damage:
    """Hits something every second or two; the supervisor `supervisor_kills` times at most, so that it also gets old."""

    def __init__(self, running: Running, chance: random.Random, supervisor_kills: int) -> None:
        self._running = running
        self._supervisor_kills = supervisor_kills
        self._chance = chance
        self.done: Counter[str] = Counter()

    def run(self, over: threading.Event) -> None:
        hits = {
            "engine killed": self._engine(signal.SIGKILL),
            "engine stopped": self._engine(signal.SIGSTOP),
            "broker killed": self._broker,
            "OCR worker killed": self._ocr_worker,
            "web worker killed": self._web_worker,
            "web master killed": self._web_master,
            "supervisor stopped": self._supervisor_stopped,
            "supervisor killed": self._supervisor,
        }
        weights = [10, 2, 2, 6, 2, 2, 1, 1]
        while not over.wait(self._chance.uniform(0.8, 2.5)):
            (name,) = self._chance.choices(list(hits), weights)
            # what is to be hit may just be away
            with suppress(psutil.Error, KeyError, ValueError, IndexError, ProcessLookupError):
                hits[name]()
                self.done[name] += 1

    def _engine(self, number: signal.Signals) -> Hit:
        return lambda: os.kill(self._running.pid("engine"), number)

    def _broker(self) -> None:
        os.kill(self._running.pid("ocr"), signal.SIGKILL)

    def _ocr_worker(self) -> None:
        workers = psutil.Process(self._running.pid("ocr")).children()
        os.kill(self._chance.choice(workers).pid, signal.SIGKILL)

    def _web_worker(self) -> None:
        os.kill(psutil.Process(self._running.pid("web")).children()[0].pid, signal.SIGKILL)

    def _web_master(self) -> None:
        os.kill(self._running.pid("web"), signal.SIGKILL)

    def _supervisor_stopped(self) -> None:
        """Longer than it grants its own children."""
        top = psutil.Process(self._running.process.pid)
        top.suspend()
        try:
            time.sleep(self._chance.uniform(1, 4))
        finally:
            top.resume()

    def _supervisor(self) -> None:
        if self._supervisor_kills <= 0:
            raise ValueError("it has been killed often enough")
        self._supervisor_kills -= 1
        self._running.process.kill()
        self._running.start_again()
