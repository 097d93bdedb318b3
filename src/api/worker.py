"""Gunicorn's side of the web process: the worker class and its logger.

Gunicorn imports this in its unpatched master: nothing of ours, and nothing that opens sockets, is imported here.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

import gevent
from gunicorn.glogging import Logger
from gunicorn.http.errors import NoMoreData
from gunicorn.workers.ggevent import GeventWorker

_IDLE_TICK_S = 0.2
_LISTENERS_CLOSED_S = 1.2  # GeventWorker.run notices `alive = False` within a second


class ServiceWorker(GeventWorker):  # type: ignore[misc]  # gunicorn has no types
    """A gevent worker whose idle keep-alive connections do not hold up its end."""

    def init_process(self) -> None:
        self._idle: set[Any] = set()
        super().init_process()

    @contextlib.contextmanager
    def timeout_ctx(self) -> Iterator[None]:
        """Entered only while waiting for a request's head: who is inside is idle."""
        greenlet = gevent.getcurrent()
        self._idle.add(greenlet)
        try:
            with gevent.Timeout(self.cfg.keepalive, False):
                yield
        finally:
            self._idle.discard(greenlet)

    def run(self) -> None:
        gevent.spawn(self._reap_idle)
        super().run()

    def _reap_idle(self) -> None:
        while self.alive:
            gevent.sleep(_IDLE_TICK_S)
        gevent.sleep(_LISTENERS_CLOSED_S)
        while True:
            for greenlet in list(self._idle):
                greenlet.kill(NoMoreData(b""), block=False)
            gevent.sleep(_IDLE_TICK_S)


class GunicornLogger(Logger):  # type: ignore[misc]
    """Gunicorn's own messages through the root logger, hence loguru. Access lines are written by `hooks`."""

    def setup(self, cfg: Any) -> None:
        self.cfg = cfg
        self._access_log_enabled = False
        self.loglevel = self.LOG_LEVELS.get(cfg.loglevel.lower(), logging.INFO)
        self.error_log.handlers = []
        self.error_log.setLevel(self.loglevel)
        self.error_log.propagate = True

    def access(self, *_: Any) -> None:
        return

    def reopen_files(self) -> None:
        return  # the sinks watch their files
