"""Gunicorn's side: what it refuses itself has the application's envelope, and clients that are lost are no errors."""

from __future__ import annotations

import errno
import json
import logging
import socket
from typing import Any
from unittest.mock import Mock

import pytest
from gunicorn.config import Config
from gunicorn.http import errors

from src.api.edge.connection_limits import Connections
from src.api.process.worker import GunicornLogger, ServiceWorker, _end_input


def refused(error: Exception) -> tuple[int, dict[str, str], dict[str, Any]]:
    """Status, headers and body of what a client is sent for this error."""
    ours, theirs = socket.socketpair()
    worker = ServiceWorker.__new__(ServiceWorker)
    worker.log = Mock()
    with ours, theirs:
        worker.handle_error(None, ours, ("192.0.2.1", 1), error)
        ours.close()
        head, _, body = theirs.makefile("rb").read().partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    return int(first.split()[1]), dict(line.split(": ", 1) for line in lines), json.loads(body)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.ExpectationFailed("200-<maybe>"), 417),
        (errors.LimitRequestLine(9, 8), 414),
        (errors.LimitRequestHeaders("<many>"), 431),
        (errors.InvalidHeader("<X>"), 400),
        (errors.InvalidRequestLine("<GET>"), 400),
        (errors.InvalidRequestMethod("<get>"), 400),
        (errors.UnsupportedTransferCoding("<br>"), 501),
        (errors.InvalidResponseHeader("<X>"), 500),
        (ValueError("<a bug>"), 500),
    ],
)
def test_an_early_refusal_is_in_the_envelope(error: Exception, status: int) -> None:
    """Its status, JSON, an id, the end of the connection, and nothing of what the client sent."""
    found, headers, body = refused(error)
    assert (found, headers["Content-Type"], headers["Connection"]) == (status, "application/json", "close")
    assert set(body["error"]) == {"message", "type", "param", "code"}
    assert body["request_id"] == headers["X-Request-Id"]
    assert "<" not in json.dumps(body)


def test_a_client_that_is_gone_needs_no_answer() -> None:
    """Its closed socket is no error of ours."""
    ours, theirs = socket.socketpair()
    ours.close()
    theirs.close()
    worker = ServiceWorker.__new__(ServiceWorker)
    worker.log = Mock()
    worker.handle_error(None, ours, None, errors.ExpectationFailed("x"))
    assert worker.log.warning.call_count == 1


@pytest.mark.parametrize(
    ("error", "level"),
    [
        (TimeoutError("timed out"), logging.DEBUG),
        (ConnectionResetError(errno.ECONNRESET, "reset"), logging.DEBUG),
        (ConnectionAbortedError(errno.ECONNABORTED, "aborted"), logging.DEBUG),
        (BrokenPipeError(errno.EPIPE, "pipe"), logging.DEBUG),
        (OSError(errno.ETIMEDOUT, "timed out"), logging.DEBUG),
        (OSError(errno.EHOSTUNREACH, "no route"), logging.DEBUG),
        (OSError(errno.EMFILE, "too many open files"), logging.ERROR),
        (RuntimeError("ours"), logging.ERROR),
    ],
)
def test_a_client_that_is_lost_is_no_error(caplog: pytest.LogCaptureFixture, error: Exception, level: int) -> None:
    """errors.log is for what an operator must look at: not for clients that reset, or do not read."""
    logger = GunicornLogger(Config())
    logger.error_log.setLevel(logging.DEBUG)
    with caplog.at_level(logging.DEBUG):
        try:
            raise error
        except (OSError, RuntimeError):
            logger.exception("Socket error processing request.")
    assert [record.levelno for record in caplog.records] == [level]
    assert (caplog.records[0].exc_info is None) is (level == logging.DEBUG)


def test_the_end_of_an_idle_connection_hides_no_request() -> None:
    """Who waits reads the end; a request that has come is read whole, its body too, which comes a little later."""
    for sent, expected in ((b"", b""), (b"POST / HTTP/1.1\r\n", b"POST / HTTP/1.1\r\nbody")):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            theirs.sendall(sent)
            _end_input(ours)
            if sent:
                theirs.sendall(b"body")
                theirs.shutdown(socket.SHUT_WR)
            assert ours.makefile("rb").read() == expected


def test_a_connection_that_is_told_its_end_has_one_request_more() -> None:
    """The one that came in the same moment; its answer says that the connection ends."""
    pool = Connections(8, 0)
    ended: list[bool] = []
    connection = pool.open("192.0.2.1", lambda: ended.append(connection.ending))
    assert not connection.ending
    pool.close_idle()
    assert ended == [True]
    assert pool.begin(connection) is None
