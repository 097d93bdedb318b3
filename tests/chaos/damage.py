"""Kills and stops processes of a running service at random. Never the supervisor: that is for systemd to restart."""

from __future__ import annotations

import os
import random
import signal
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

import psutil

from tests.running import Running

Hit = Callable[[], object]


class Damage:
    """Hits something every second or two."""

    def __init__(self, running: Running, chance: random.Random) -> None:
        self._running = running
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
        }
        weights = [5, 1, 1, 3, 1, 1]
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
