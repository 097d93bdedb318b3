"""What a web worker runs beside its requests: drain, event-loop lag, and its tie to whoever started it.

`gunicorn.conf.py` calls `after_init` in the patched worker.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any

import gevent
from loguru import logger

from src.api.batches.feeder import Feeder
from src.api.edge.address import TrustedProxies
from src.api.edge.connection_limits import RESERVE, Connections
from src.api.operations import metrics
from src.api.process.handover import Handover
from src.api.process.launch import BackendsKeeper
from src.api.process.worker import LISTENERS_CLOSED_S
from src.api.service import EXTENSION, Service
from src.settings import Settings, supervised, web_fd

_LAG_TICK_S = 0.5
# end streams this long before gunicorn would cut them
_POLITE_S = 3.0
_LINGER_S = 5.0  # most clients that ask again do so within this, and are told that the connection ends
_READ = 1
_LAST_SPANS_S = 3.0  # a collector that does not answer keeps no worker
_OTHER_FILES = 128  # logs, listeners, the event loop's own


def after_init(worker: Any) -> None:
    """What each worker runs beside its requests; called in the patched worker, once."""
    service: Service = worker.wsgi.extensions[EXTENSION]
    metrics.count_greenlets()
    worker.connections = _bounded(service.settings)
    _allow_files(service.settings)
    handover = Handover(service.metrics, service.settings.runtime_path)
    _drain_on_term(service, worker, handover)
    gevent.spawn(handover.run)
    gevent.spawn(service.usage.run)
    gevent.spawn(service.job_pages.run)
    gevent.spawn(service.instances.run)
    worker.at_end = partial(_close, service)
    gevent.spawn(Feeder(worker.wsgi, service).run)
    gevent.spawn(_watch_lag, service.metrics.lag.observe, time.monotonic)
    if supervised():
        _announce_on_usr1(service, worker)
        _end_with_supervisor(service, os.getppid())
    else:
        gevent.spawn(BackendsKeeper(service.settings, os.getppid()).run)


def _bounded(settings: Settings) -> Connections:
    proxies = TrustedProxies(settings.trusted_networks)
    return Connections(settings.worker_connections, settings.max_connections_per_address, proxies)


def _allow_files(settings: Settings) -> None:
    """Raise this process's limit of open files to what its connections, and theirs to the back ends, may need."""
    needed = settings.worker_connections + RESERVE + 2 * settings.max_concurrent_requests + _OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed < needed:
        logger.warning(
            "{} open files are allowed, WORKER_CONNECTIONS and MAX_CONCURRENT_REQUESTS may need {}: raise the hard"
            " limit (ulimit -Hn, LimitNOFILE) or lower the settings",
            allowed,
            needed,
        )


def _announce_on_usr1(service: Service, worker: Any) -> None:
    """On SIGUSR1, which gunicorn's master hands on: the service is about to stop, and this says so while it serves."""

    def on_usr1(number: int, frame: FrameType | None) -> None:  # noqa: ARG001  # a signal handler's
        service.inflight.announce_drain()
        worker.last_answers = True
        worker.owns_listeners = web_fd() is None  # else systemd holds the port, and what waits is served by the next

    signal.signal(signal.SIGUSR1, on_usr1)


def _drain_on_term(service: Service, worker: Any, handover: Handover) -> None:
    """On SIGTERM: refuse requests once the listeners are closed, and end what still runs before gunicorn cuts it."""
    handler = signal.getsignal(signal.SIGTERM)
    gunicorns: Callable[[int, FrameType | None], object] = handler  # type: ignore[assignment]  # gunicorn has set one

    ending = False

    def on_term(number: int, frame: FrameType | None) -> None:
        nonlocal ending
        if not ending:
            ending = worker.last_answers = True
            if not service.inflight.drain_announced:  # a successor serves, or soon will
                worker.linger_s = min(_LINGER_S, worker.cfg.graceful_timeout / 4)
                worker.at_end = partial(_close, service, handover.leave)
                gevent.spawn(handover.leave_on)
            refuse_s = worker.linger_s + LISTENERS_CLOSED_S
            polite_s = max(refuse_s, worker.cfg.graceful_timeout - _POLITE_S)
            gevent.spawn_later(refuse_s, service.inflight.begin_drain)
            gevent.spawn_later(polite_s, service.inflight.end_all)
        gunicorns(number, frame)

    signal.signal(signal.SIGTERM, on_term)


def _close(service: Service, leave: Callable[[], None] = lambda: None) -> None:
    service.usage.close()
    leave()
    gevent.spawn(service.tracing.close).join(_LAST_SPANS_S)


def _watch_lag(observe: Callable[[float], None], clock: Callable[[], float]) -> None:
    while True:
        due = clock() + _LAG_TICK_S
        gevent.sleep(_LAG_TICK_S)
        observe(max(0.0, clock() - due))


def _end_with_supervisor(service: Service, master: int) -> None:
    """Standard input is the supervisor's lifeline, inherited through gunicorn's master."""
    io = gevent.get_hub().loop.io(sys.stdin.fileno(), _READ)

    def readable() -> None:
        if os.read(sys.stdin.fileno(), 4096):
            return
        io.stop()
        logger.warning("the supervisor is gone; the web process ends too")
        service.inflight.begin_drain()
        service.inflight.end_all()  # their back ends are gone as well: there is nothing to wait for
        if os.getppid() == master:  # else it is gone too, and that number is somebody else's
            os.kill(master, signal.SIGTERM)

    io.start(readable)
