"""The feeder: the one place that runs what nobody waits for. It checks batches, asks their lines, ends them, and has
`response_feeder` run background responses. Web process.

A few lines at a time (BACKGROUND_MAX_SEQS), in turns between keys, each a greenlet that asks as a `background` request:
when those may begin is the supervisor's to say. A line is done when its outcome is on disk; whatever dies before that
asks it again. One instance works on a STATE_DIR at a time: it holds the lock.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable
from contextlib import suppress

import gevent
from flask import Flask
from loguru import logger

from src.api.batches import line_call
from src.api.batches.absent_keys import GRACE_S, AbsentKeys
from src.api.batches.key_turns import KeyTurns
from src.api.batches.line_call import LineAnswer
from src.api.batches.response_feeder import ResponseFeeder
from src.api.batches.validation import InputCheck
from src.api.edge import auth
from src.api.service import Service
from src.api.state import batches, conversations, files, responses
from src.api.state.batches import LineError, PendingLine, StoredBatch
from src.errors import NotFound, ServiceError
from src.state.places import LOCK

_TICK_S = 1.0
_LONGEST_WAIT_S = 30.0
_SWEEP_S = 60.0
_EXPIRED = LineError("batch_expired", "This request was not executed before the completion window expired.")
_CANCELLED = LineError("batch_cancelled", "This request was not executed because the batch was cancelled.")
_KEY_ABSENT = LineError(
    "key_unknown",
    f"The key that this batch runs as is not known; the batch is cancelled after {GRACE_S:.0f} s of that.",
)
_KEY_GONE = LineError("batch_cancelled", "This request was not executed because the batch's API key was removed.")


class Feeder:
    """`run` until the process drains."""

    def __init__(self, app: Flask, service: Service, clock: Callable[[], float] = time.time) -> None:
        self._app, self._service, self._clock = app, service, clock
        self._state, self._settings = service.state, service.settings
        self._load = service.batch_load
        self._running: dict[tuple[str, int], gevent.Greenlet] = {}
        self._resting: dict[str, float] = {}  # batches, until when
        self._turns = KeyTurns()
        self._keys = AbsentKeys(lambda owner: auth.is_known(app, owner))
        self._responses = ResponseFeeder(app, service, self._keys)
        self._swept = float("-inf")

    def run(self) -> None:
        """Waits for the lock first: of the worker that this one replaces, say."""
        lock: int | None = None
        try:
            while not self._service.inflight.drain_announced and (lock := self._lock()) is None:
                gevent.sleep(_TICK_S)
            self._load.worked_on_here = lock is not None
            while not self._service.inflight.drain_announced:
                self._look_and_wait()
            gevent.joinall(list(self._running.values()))  # what ends in time is kept
            self._responses.join()
        finally:
            self._load.worked_on_here = False
            if lock is not None:
                os.close(lock)

    def look(self) -> None:
        """One round: end what is over, check what is new, fill what is free."""
        self._state.changed.clear()
        now = self._clock()
        if now - self._swept >= _SWEEP_S:
            self._swept = now
            self._sweep(now)
        for batch in self._state.read(batches.unfinished):
            self._settle(batch, now)
        self._fill(now)
        self._responses.look(now)

    def _look_and_wait(self) -> None:
        try:
            self.look()
        except ServiceError as error:
            logger.warning("batches wait: {}", error.message)
            gevent.sleep(_LONGEST_WAIT_S)
        except Exception:  # noqa: BLE001  # one row that cannot be read must not end it for all
            logger.exception("batches wait")
            gevent.sleep(_LONGEST_WAIT_S)
        else:
            self._state.changed.wait(_TICK_S)

    def _lock(self) -> int | None:
        """A descriptor that ends with the process, however it ends; None while another has the lock."""
        try:
            self._state.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self._state.folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError:
            return None  # as the routes of files say
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return None
        return descriptor

    # ---- a batch

    def _settle(self, batch: StoredBatch, now: float) -> None:
        if self._keys.is_gone(batch.owner, now):
            self._close(batch, "cancelled", _KEY_GONE)
        elif batch.status == "cancelling":
            self._close(batch, "cancelled", _CANCELLED)
        elif batch.expires <= now:
            self._close(batch, "expired", _EXPIRED)
        elif self._keys.is_absent(batch.owner, now) is (batch.errors is None):
            self._say_of_key(batch)
        elif batch.status == "validating":
            self._check(batch)

    def _say_of_key(self, batch: StoredBatch) -> None:
        """That it waits for its key, or waits no longer."""
        error = _KEY_ABSENT if batch.errors is None else None
        self._state.run(lambda db: batches.set_error(db, batch.id, error))
        logger.warning("batch {}: its key {!r} is {}", batch.id, batch.owner, "known" if error is None else "not known")

    def _close(self, batch: StoredBatch, status: batches.BatchStatus, error: LineError) -> None:
        """What runs of it is ended: its lines have this outcome instead."""
        running = [greenlet for (name, _), greenlet in self._running.items() if name == batch.id]
        gevent.killall(running)
        if batch.begun is None:  # nothing of it was to run yet
            self._state.run(lambda db: batches.forget_lines(db, batch.id))
        while not self._state.run(lambda db: batches.close(db, batch.id, status, error, int(self._clock()))):
            gevent.sleep(0)
        logger.info("batch {}: {}", batch.id, status)

    def _check(self, batch: StoredBatch) -> None:
        settings = self._settings
        check = InputCheck(
            batch.endpoint, settings.default_model, settings.batch_max_lines, settings.batch_line_kb << 10
        )
        try:
            self._read(batch, check)
        except OSError:
            check.error("file_not_found", "The input file is gone.", param="input_file_id")
        if not check.errors and batch.endpoint != "/v1/ocr":
            self._check_model(check)
        now = int(self._clock())
        if check.errors:
            self._state.run(lambda db: batches.fail(db, batch.id, check.errors, now))
            logger.info("batch {}: failed, its input has {} errors", batch.id, len(check.errors))
        else:
            self._state.run(lambda db: batches.begin(db, batch, check.model, check.count, now))
            logger.info("batch {}: {} requests to {}", batch.id, check.count, batch.endpoint)

    def _read(self, batch: StoredBatch, check: InputCheck) -> None:
        self._state.run(lambda db: batches.forget_lines(db, batch.id))
        with self._state.blob(batch.input).open("rb") as file:
            for lines in check.chunks(file):
                for twice in self._state.run(lambda db: batches.add_lines(db, batch.id, lines)):  # noqa: B023  # it runs at once
                    check.duplicate(twice)

    def _check_model(self, check: InputCheck) -> None:
        try:
            self._service.backends.check_model(check.model or self._settings.default_model)
        except NotFound as error:
            check.error(error.code, error.message, 1, "body.model")

    # ---- lines

    def _fill(self, now: float) -> None:
        """Keys take turns; a key's batches run in their order."""
        current = [batch for batch in self._state.read(batches.unfinished) if batch.status == "in_progress"]
        self._resting = {name: until for name, until in self._resting.items() if until > self._clock()}
        allowed = [
            batch
            for batch in current
            if batch.id not in self._resting
            and not self._keys.is_absent(batch.owner, now)
            and not self._is_over_budget(batch.owner, batch.endpoint)
        ]
        while len(self._running) < self._width and self._start_next(allowed):
            pass
        self._load.running = len(self._running)
        left = sum(batch.total - batch.completed - batch.failed for batch in current)
        self._load.waiting = max(0, left - self._load.running)

    @property
    def _width(self) -> int:
        """Most slots stay for live requests: lines hold theirs while they wait, too."""
        return min(self._settings.background_max_seqs, max(1, self._settings.max_concurrent_requests // 2))

    def _is_over_budget(self, owner: str, endpoint: str) -> bool:
        """Until the next day: what waits then is begun by whoever looks first."""
        return self._service.budgets.is_used_up(owner, "pages" if endpoint == "/v1/ocr" else "tokens")

    def _start_next(self, current: list[StoredBatch]) -> bool:
        for batch in self._turns.order(current):
            busy = {number for name, number in self._running if name == batch.id}
            found = self._state.read(lambda db: batches.pending(db, batch, busy, 1))  # noqa: B023  # it runs at once
            if found:
                self._start(found[0], self._turns.start(batch))
                return True
        return False

    def _start(self, line: PendingLine, guess: float) -> None:
        key = (line.batch, line.line.number)
        greenlet = self._running[key] = gevent.spawn(self._work, line, guess)
        greenlet.rawlink(lambda _: self._ended(key))

    def _ended(self, key: tuple[str, int]) -> None:
        self._running.pop(key, None)
        self._state.changed.set()

    def _work(self, line: PendingLine, guess: float) -> None:
        tokens = 0
        try:
            if (answer := self._ask(line)) is not None:
                tokens = answer.tokens
                self._record(line, answer.body, failed=answer.failed)
        finally:
            self._turns.end(line.owner, guess, tokens)

    def _ask(self, line: PendingLine) -> LineAnswer | None:
        """Until there is an outcome; None when the process drains before."""
        while not self._service.inflight.drain_announced:
            answer = line_call.ask(self._app, line, self._raw(line))
            if answer.retry_after_s is None:
                return answer
            if self._is_over_budget(line.owner, line.endpoint):
                return None  # its turn comes again; meanwhile others have its place
            if answer.retry_after_s > _LONGEST_WAIT_S:  # the other budget is used up: a chat's PDF takes pages
                self._resting[line.batch] = self._clock() + _LONGEST_WAIT_S
                return None
            gevent.sleep(min(answer.retry_after_s, _LONGEST_WAIT_S))
        return None

    def _raw(self, line: PendingLine) -> bytes:
        with self._state.blob(line.input).open("rb") as file:
            file.seek(line.line.start)
            return file.read(line.line.length)

    def _record(self, line: PendingLine, body: bytes, *, failed: bool) -> None:
        """Until that succeeds."""
        now = int(self._clock())
        while True:
            try:
                self._state.run(
                    lambda db: batches.record(db, line.batch, line.line.number, body, failed=failed, now=now)
                )
            except ServiceError as error:  # a full disk: the answer is kept meanwhile
                logger.warning("batch {} waits: {}", line.batch, error.message)
                gevent.sleep(_LONGEST_WAIT_S)
            else:
                self._service.metrics.batch_requests.labels("failed" if failed else "completed").inc()
                return

    # ---- what is over

    def _sweep(self, now: float) -> None:
        for file in self._state.read(lambda db: files.expired(db, now)):
            self._state.run(lambda db: files.delete(db, file))  # noqa: B023  # it runs at once
            with suppress(OSError):
                self._state.blob(file.id).unlink(missing_ok=True)
        if self._settings.response_ttl:
            self._state.run(lambda db: responses.forget(db, int(now - self._settings.response_ttl)))
        if self._settings.conversation_ttl:
            self._state.run(lambda db: conversations.forget(db, int(now - self._settings.conversation_ttl)))
        if self._settings.file_ttl:
            self._state.run(lambda db: batches.forget(db, int(now - self._settings.file_ttl)))
