"""Compressed request bodies: decoded under the limit of bytes, or refused by name."""

from __future__ import annotations

import gzip
import io
import json
import zlib
from collections.abc import Callable
from typing import Any

import pytest
import zstandard
from flask import Flask, request
from werkzeug.test import TestResponse

from src.api import error_handlers
from src.api.edge import encodings, middleware
from src.metrics import Metrics, Readings
from tests.unit.api.bodies import open_body

LIMIT = 1 << 20
TEXT = json.dumps({"text": "many words, " * 20_000}).encode()


def bare_deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush()


def wide_zstd(data: bytes) -> bytes:
    """A frame that says it needs a window of 128 MiB."""
    parameters = zstandard.ZstdCompressionParameters(window_log=27)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    return compressor.compress(data) + compressor.flush()


CODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd": zstandard.compress,
}


def _echo() -> bytes:
    return request.get_data()


@pytest.fixture(scope="module")
def app() -> Flask:
    """A route that says how much it was sent."""
    app = Flask(__name__)
    error_handlers.register(app)
    middleware.install(app, Metrics(Readings), lambda environ: open_body(environ["wsgi.input"], LIMIT))
    encodings.install(app)
    app.add_url_rule("/echo", "echo", _echo, methods=["POST"])
    app.add_url_rule("/deaf", "deaf", lambda: "", methods=["POST"])
    return app


def post(app: Flask, data: bytes, coding: str, path: str = "/echo", **options: Any) -> TestResponse:
    return app.test_client().post(path, data=data, headers={"Content-Encoding": coding}, **options)


@pytest.mark.parametrize("coding", CODERS)
def test_what_was_compressed_arrives_as_it_was(app: Flask, coding: str) -> None:
    """Each coding, also named in capitals, in several members, and over another."""
    encoded = CODERS[coding](TEXT)
    assert post(app, encoded, coding).data == TEXT
    assert post(app, encoded, coding.upper()).data == TEXT
    assert post(app, gzip.compress(encoded), f"{coding}, gzip").data == TEXT
    assert post(app, encoded, f"identity, {coding}").data == TEXT


@pytest.mark.parametrize(
    ("coding", "data"),
    [
        ("x-gzip", gzip.compress(TEXT)),
        ("gzip", gzip.compress(TEXT[:99]) + gzip.compress(TEXT[99:])),
        ("zstd", zstandard.compress(TEXT[:99]) + zstandard.compress(TEXT[99:])),
        ("deflate", bare_deflate(TEXT)),
        ("identity", TEXT),
        ("", TEXT),
    ],
)
def test_spellings_that_senders_use(app: Flask, coding: str, data: bytes) -> None:
    """The old name, several members, deflate without zlib's head, and codings that change nothing."""
    assert post(app, data, coding).data == TEXT


@pytest.mark.parametrize("coding", CODERS)
def test_a_body_without_a_length_is_decoded(app: Flask, coding: str) -> None:
    """Chunked: its end is the end of the stream."""
    stream = io.BytesIO(CODERS[coding](TEXT))
    environ = {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}
    assert post(app, b"", coding, input_stream=stream, environ_overrides=environ).data == TEXT


@pytest.mark.parametrize("coding", CODERS)
def test_a_bomb_is_a_413_and_costs_little(app: Flask, coding: str) -> None:
    """A gigabyte in a small body is refused as soon as the limit is passed, whichever coding, also in layers."""
    bomb = CODERS[coding](bytes(64 << 20))
    for data, header in ((bomb, coding), (gzip.compress(bomb), f"{coding}, gzip")):
        reply = post(app, data, header)
        assert (reply.status_code, reply.get_json()["error"]["code"]) == (413, "payload_too_large")


def test_the_limit_itself_passes(app: Flask) -> None:
    """One byte more does not."""
    assert post(app, gzip.compress(bytes(LIMIT)), "gzip").status_code == 200
    assert post(app, gzip.compress(bytes(LIMIT + 1)), "gzip").status_code == 413


@pytest.mark.parametrize("coding", CODERS)
@pytest.mark.parametrize("damage", ["cut", "other", "behind", "empty"])
def test_damaged_data_is_a_400_that_names_the_coding(app: Flask, coding: str, damage: str) -> None:
    """Cut off, not compressed at all, or followed by something else."""
    encoded = CODERS[coding](TEXT)
    data = {"cut": encoded[:-9], "other": TEXT, "behind": encoded + b"behind", "empty": b""}[damage]
    reply = post(app, data, coding)
    if coding in ("gzip", "zstd") and damage == "empty":
        assert (reply.status_code, reply.data) == (200, b"")
        return
    if coding == "zstd" and damage == "cut":
        assert reply.data != TEXT  # a frame's end is not told from the stream's; the JSON in it is not whole
        return
    assert reply.status_code == 400, (coding, damage, reply.status_code)
    assert coding in reply.get_json()["error"]["message"]


def test_a_frame_that_needs_much_memory_is_refused(app: Flask) -> None:
    """A window of 128 MiB is nobody's request."""
    assert post(app, wide_zstd(bytes(200 << 10)), "zstd").status_code == 400


@pytest.mark.parametrize("header", ["br", "gzip, br", "compress", "aes128gcm", "gzip, gzip, gzip", "é"])
def test_an_unknown_coding_is_a_415_that_names_it(app: Flask, header: str) -> None:
    """Before anything is read, also where nobody reads the body."""
    for path in ("/echo", "/deaf"):
        reply = post(app, b"x", header, path)
        error = reply.get_json()["error"]
        assert (reply.status_code, error["param"]) == (415, "Content-Encoding")
        assert "gzip" in error["message"] or "codings" in error["message"]
    assert "'br'" in post(app, b"x", "br").get_json()["error"]["message"]
