"""Which background responses run: the feeder's part that is theirs. Each is a greenlet, in turns between keys."""

from __future__ import annotations

import time
from functools import partial

import gevent
from flask import Flask
from loguru import logger

from src.api.batches.absent_keys import AbsentKeys
from src.api.batches.key_turns import KeyTurns
from src.api.batches.response_run import ResponseRun
from src.api.openai import background
from src.api.service import Service
from src.api.state import responses
from src.api.state.responses import PendingResponse
from src.errors import ServiceError

_LONGEST_WAIT_S = 30.0


class ResponseFeeder:
    """`look` now and then; `join` in the end."""

    def __init__(self, app: Flask, service: Service, keys: AbsentKeys) -> None:
        self._app, self._service, self._state = app, service, service.state
        self._keys = keys
        self._running: dict[str, gevent.Greenlet] = {}
        self._turns = KeyTurns()  # of its own: an account ends with the work that is offered

    def look(self, now: float) -> None:
        """End what has an outcome by another hand, or no key any more; fill what is free."""
        found = self._state.read(responses.unfinished)
        kept = [pending for pending in found if not self._keys.is_gone(pending.owner, now)]
        names = {pending.id for pending in kept}
        gevent.killall([one for name, one in self._running.items() if name not in names], block=False)
        for pending in found:
            if pending.id not in names:
                self._state.run(partial(background.end, name=pending.id, now=int(now)))
        waiting = [
            pending
            for pending in kept
            if pending.id not in self._running
            and not self._keys.is_absent(pending.owner, now)
            and not self._is_over_budget(pending.owner)
        ]
        while waiting and len(self._running) < self._width:
            self._start(chosen := self._turns.order(waiting)[0])
            waiting.remove(chosen)

    def join(self) -> None:
        gevent.joinall(list(self._running.values()))

    def _is_over_budget(self, owner: str) -> bool:
        return self._service.budgets.is_used_up(owner, "tokens")

    @property
    def _width(self) -> int:
        """Beside as many lines of batches, most slots stay for live requests."""
        settings = self._service.settings
        return min(settings.background_max_seqs, max(1, settings.max_concurrent_requests // 4))

    def _start(self, pending: PendingResponse) -> None:
        greenlet = self._running[pending.id] = gevent.spawn(self._work, pending, self._turns.start(pending))
        greenlet.rawlink(lambda _: self._ended(pending.id))

    def _ended(self, name: str) -> None:
        self._running.pop(name, None)
        self._state.changed.set()

    def _work(self, pending: PendingResponse, guess: float) -> None:
        """Until it has an outcome, or the process drains."""
        run = ResponseRun(self._app, self._service, pending)
        try:
            while not self._service.inflight.drain_announced:
                after_s = self._attempt(run, pending.id)
                if after_s is None:
                    return logger.info("background response {}: ended", pending.id)
                if self._is_over_budget(pending.owner):
                    return None  # its turn comes again; meanwhile others have its place
                gevent.sleep(min(after_s, _LONGEST_WAIT_S))
        finally:
            self._turns.end(pending.owner, guess, run.tokens)
        return None

    def _attempt(self, run: ResponseRun, name: str) -> float | None:
        """As `ResponseRun.attempt`; one that cannot be read or run has failed, and keeps no other from running."""
        try:
            return run.attempt()
        except ServiceError as error:
            logger.warning("background response {} waits: {}", name, error.message)
            return _LONGEST_WAIT_S
        except Exception:  # noqa: BLE001  # as a request's: logged and answered
            logger.exception("background response {} has failed", name)
            self._state.run(lambda db: responses.give_up(db, name, int(time.time())))
            return None
