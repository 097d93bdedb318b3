"""`gunicorn src.api.app:application` by itself: the worker starts a supervisor for the back ends when none answers.

It is detached, so that a reload of the web process does not reload a model, and ends when gunicorn's master does.
"""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress

import gevent
from loguru import logger

from src.ipc import client, runtime
from src.ipc.messages.control import StatusRequest
from src.settings import ROOT, Settings, child_environment

_CHECK_S = 2.0
_ANSWER_S = 2.0
# a supervisor that has just been started may take this long before it listens
_PATIENCE_S = 10.0


class BackendsKeeper:
    """A greenlet of an unsupervised worker. Two workers may both start one: the supervisor's lock lets one live."""

    def __init__(self, settings: Settings, master: int) -> None:
        self._control = runtime.control_socket(settings.runtime_path)
        self._master = master

    def run(self) -> None:
        while True:
            if not self._answers():
                self._start()
                gevent.sleep(_PATIENCE_S)
            gevent.sleep(_CHECK_S)

    def _answers(self) -> bool:
        try:
            client.ask(self._control, StatusRequest(), _ANSWER_S)
        except (client.ConnectError, client.Disconnected):
            return False
        except client.WaitTimeout:
            return True  # alive, only busy
        return True

    def _start(self) -> None:
        logger.info("no supervisor answers; starting one for the back ends")
        command = [sys.executable, "run.py", "--mode", "backends", "--lifeline", str(self._master)]
        with suppress(OSError):  # no memory or no process to be had: tried again
            subprocess.Popen(
                command, cwd=ROOT, env=child_environment(), stdin=subprocess.DEVNULL, start_new_session=True
            )
