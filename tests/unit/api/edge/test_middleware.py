"""Around every request: its id, its size, and exactly one account of it."""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Iterator
from typing import Any, cast

import pytest
from flask import Flask, Response, g, request
from loguru import logger
from werkzeug.test import TestResponse, create_environ, run_wsgi_app

from src import logs
from src.api import error_handlers
from src.api.edge import middleware
from src.api.edge.middleware import Exchange
from src.errors import Overloaded
from src.metrics import Metrics, Readings
from tests.unit.api.bodies import open_body

LIMIT = 1 << 20


class Site:
    """A small application behind the middleware, and what was counted and logged about it."""

    def __init__(self) -> None:
        self.metrics = Metrics(Readings)
        self.lines: list[dict[str, Any]] = []
        self.app = Flask(__name__)
        error_handlers.register(self.app)
        middleware.install(self.app, self.metrics, lambda environ: open_body(environ["wsgi.input"], LIMIT))
        route = self.app.add_url_rule
        route("/echo", "echo", self._echo, methods=["POST"])
        route("/form", "form", self._file, methods=["POST"])
        route("/id", "id", lambda: f"{g.request_id} {logs.request_id.get()}")
        route("/items/<name>", "items", lambda name: name)
        route("/stream", "stream", lambda: Response(self._chunks()))
        route("/bug", "bug", self._bug)
        route("/busy", "busy", self._busy)

    def call(self, path: str, method: str = "GET", **options: Any) -> TestResponse:
        """A request whose response is read and closed, as a server does."""
        return self.app.test_client().open(path, method=method, buffered=True, **options)

    def counted(self) -> dict[tuple[str, str, str], float]:
        """(method, route, status) → requests."""
        (family,) = self.metrics.http_requests.collect()
        samples = [sample for sample in family.samples if sample.name.endswith("_total")]
        return {(s.labels["method"], s.labels["route"], s.labels["status"]): s.value for s in samples}

    def _chunks(self) -> Iterator[bytes]:
        yield b"one"
        yield b"two"

    def _echo(self) -> bytes:
        return request.get_data()

    def _file(self) -> bytes:
        return bytes(request.files["file"].read())

    def _bug(self) -> str:
        raise ValueError("a bug")

    def _busy(self) -> str:
        raise Overloaded("full", retry_after_s=1)


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    sink = logger.add(lambda message: site.lines.append(dict(message.record["extra"])), filter=_is_access)
    yield site
    logger.remove(sink)


def _is_access(record: Any) -> bool:
    return bool(record["extra"].get("stream") == "api")


# ---- request id


@pytest.mark.parametrize("given", ["abc", "A.b_c-9", "x" * 64])
def test_a_clients_id_is_echoed_and_logged_and_is_no_identity(given: str, site: Site) -> None:
    """The views and the logs go by an id of the server's own; the client's stands beside it in the access log."""
    response = site.call("/id", headers={"X-Request-Id": given})
    assert response.headers["X-Request-Id"] == given
    own, logged = response.text.split()
    assert own == logged
    assert re.fullmatch("[0-9a-f]{32}", own)
    assert [(line["request_id"], line["client_request_id"]) for line in site.lines] == [(own, given)]


def test_two_requests_of_one_client_id_are_two(site: Site) -> None:
    """A client that sends the same id again, or another's, gets the work of neither."""
    first, second = (site.call("/id", headers={"X-Request-Id": "same"}).text for _ in range(2))
    assert first != second


@pytest.mark.parametrize("given", ["", "x" * 65, "a b", "a\tb", "é", "{x}", "<script>", "a/b"])
def test_a_bad_id_is_replaced(given: str, site: Site) -> None:
    """What could forge a line or a header is not taken over: a fresh id is made."""
    response = site.call("/id", headers={"X-Request-Id": given})
    assert re.fullmatch("[0-9a-f]{32}", response.headers["X-Request-Id"])
    assert response.text.split()[0] == response.headers["X-Request-Id"]


def test_ids_do_not_leak_into_the_next_request(site: Site) -> None:
    """Requests of one connection share a greenlet: each gets its own id all the same."""
    first = site.call("/id", headers={"X-Request-Id": "first"})
    second = site.call("/id")
    assert first.headers["X-Request-Id"] == "first"
    assert "first" not in second.text


@pytest.mark.parametrize("path", ["/nowhere", "/bug", "/busy"])
def test_errors_carry_the_id_too(path: str, site: Site) -> None:
    """A client that reports an error can name the request."""
    response = site.call(path, headers={"X-Request-Id": "req-1"})
    assert response.headers["X-Request-Id"] == "req-1"
    assert response.get_json()["request_id"] == "req-1"


# ---- body limit


def chunked(site: Site, path: str, body: bytes, **environ: Any) -> tuple[int, bytes]:
    """A request as gunicorn hands over a chunked one: no length, and an input that ends by itself."""
    made = create_environ(path, method="POST", input_stream=io.BytesIO(body), **environ)
    made["wsgi.input_terminated"] = True
    made.pop("CONTENT_LENGTH", None)
    chunks, status, _ = run_wsgi_app(site.app, made, buffered=True)
    return int(status[:3]), b"".join(chunks)


@pytest.mark.parametrize(("size", "status"), [(0, 200), (1000, 200), (LIMIT, 200), (LIMIT + 1, 413), (3 * LIMIT, 413)])
def test_the_body_limit(size: int, status: int, site: Site) -> None:
    """The limit holds to the byte, with Content-Length and chunked alike; what fits arrives whole."""
    body = b"x" * size
    response = site.call("/echo", "POST", data=body)
    assert response.status_code == status
    assert chunked(site, "/echo", body)[0] == status
    if status == 200:
        assert response.data == chunked(site, "/echo", body)[1] == body
    else:
        assert response.get_json()["error"]["code"] == "payload_too_large"


@pytest.mark.parametrize(("size", "status"), [(1000, 200), (LIMIT - 1000, 200), (LIMIT, 413)])
def test_the_limit_holds_for_forms(size: int, status: int, site: Site) -> None:
    """A file in a multipart form counts like any other body, chunked or not."""
    body = b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n' + b"x" * size + b"\r\n--b--\r\n"
    kind = "multipart/form-data; boundary=b"
    assert site.call("/form", "POST", data=body, content_type=kind).status_code == status
    assert chunked(site, "/form", body, content_type=kind)[0] == status


def test_a_length_over_the_limit_is_refused_unread(site: Site) -> None:
    """A request that announces too much is refused before a byte of it is read, whatever its route."""

    class Untouchable(io.RawIOBase):
        def readable(self) -> bool:
            raise AssertionError("the body was read")

        read = readinto = readable  # type: ignore[assignment]

    environ = create_environ("/echo", method="POST")
    environ |= {"wsgi.input": Untouchable(), "CONTENT_LENGTH": str(LIMIT + 1)}
    _, status, _ = run_wsgi_app(site.app, environ, buffered=True)
    assert status.startswith("413")


# ---- one account of each request


@pytest.mark.parametrize(
    ("method", "path", "route", "status"),
    [
        ("GET", "/id", "/id", "200"),
        ("GET", "/items/secret-name", "/items/<name>", "200"),
        ("GET", "/nowhere/at/all", "unmatched", "404"),
        ("DELETE", "/id", "unmatched", "405"),
        ("GET", "/bug", "/bug", "500"),
        ("GET", "/busy", "/busy", "429"),
        ("BREW", "/id", "unmatched", "405"),
    ],
)
def test_each_request_is_counted_once(method: str, path: str, route: str, status: str, site: Site) -> None:
    """One count and one line for each request, labelled with the route and never with the path."""
    site.call(path, method)
    label = method if method != "BREW" else "other"
    assert site.counted() == {(label, route, status): 1}
    (line,) = site.lines
    assert (line["method"], line["path"], line["status"]) == (label, path, int(status))
    seconds = site.metrics.registry.get_sample_value(
        "stoker_http_request_duration_seconds_count", {"method": label, "route": route}
    )
    assert seconds == 1


def test_refusals_are_counted_by_route(site: Site) -> None:
    """Every 429 shows in `rate_limited_total`."""
    site.call("/busy")
    assert site.metrics.registry.get_sample_value("stoker_rate_limited_total", {"scope": "/busy"}) == 1


@pytest.mark.parametrize("chunks", [0, 1, 2])
def test_a_stream_is_accounted_when_it_ends(chunks: int, site: Site) -> None:
    """A stream counts once, at its end, with the bytes that were sent: also when the client leaves early."""
    exchange = cast(Exchange, site.app(create_environ("/stream"), lambda *_: lambda _: None))
    taken = list(itertools.islice(exchange, chunks))
    assert site.counted() == {}
    exchange.close()
    assert site.counted() == {("GET", "/stream", "200"): 1}
    assert [line["bytes"] for line in site.lines] == [3 * len(taken)]


def test_long_paths_are_cut(site: Site) -> None:
    """A client cannot fill the disk with its path or its user agent."""
    site.call("/items/" + "x" * 5000, headers={"User-Agent": "y" * 5000})
    (line,) = site.lines
    assert len(line["path"]) <= 256
    assert len(line["user_agent"]) <= 256


def test_no_query_is_logged(site: Site) -> None:
    """What stands in a query, or in a header, may be secret."""
    site.call("/id?key=canary", headers={"Authorization": "Bearer canary", "Cookie": "canary"})
    assert "canary" not in str(site.lines)
