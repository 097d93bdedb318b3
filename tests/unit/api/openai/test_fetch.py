"""Images brought from a server on loopback that stands in for the internet."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent import socket
from gevent.ssl import SSLContext
from loguru import logger

from src.api.openai import fetch
from src.errors import InvalidImage
from tests.outside import HOST, PNG, PUBLIC, Outside, answer
from tests.outside import outside as internet


def refused(one: Outside, text: str, url: str = f"http://{HOST}/a.png", **more: Any) -> None:
    """In words of ours, at the place that named the image."""
    with pytest.raises(InvalidImage) as caught:
        one.fetch(url, **more)
    assert text in caught.value.message
    assert "secret" not in caught.value.message
    assert caught.value.param == "messages[0].content"


@pytest.fixture
def outside() -> Iterator[Outside]:
    with internet() as one:
        yield one


def test_an_image_is_fetched_whole(outside: Outside) -> None:
    """One question to the resolver, one connection to its answer, one request that tells nothing of us but our name."""
    outside.reply = answer()
    assert outside.fetch(f"http://{HOST}/a.png?sig=1") == PNG
    assert outside.resolved == [(HOST, 80)]
    assert outside.called == [(PUBLIC, 80)]
    head = outside.heads[0].decode()
    assert head.startswith(f"GET /a.png?sig=1 HTTP/1.1\r\nHost: {HOST}\r\n")
    assert "Authorization" not in head
    assert "Cookie" not in head


def test_an_image_in_chunks_or_to_the_end_of_the_connection(outside: Outside) -> None:
    """A length need not be told."""
    chunks = b"%x\r\n" % len(PNG) + PNG + b"\r\n0\r\n\r\n"
    outside.reply = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks
    assert outside.fetch() == PNG
    outside.reply = b"HTTP/1.0 200 OK\r\n\r\n" + PNG
    assert outside.fetch() == PNG


def test_the_next_address_is_tried(outside: Outside) -> None:
    """A host's first address may be down."""
    outside.addresses, outside.dead, outside.reply = lambda: ["8.8.8.8", PUBLIC], ("8.8.8.8",), answer()
    assert outside.fetch() == PNG


def test_a_host_of_which_no_address_answers(outside: Outside) -> None:
    """The text does not say what the system said."""
    outside.dead = (PUBLIC,)
    refused(outside, "the connection to its host failed")


def test_a_host_without_an_address(outside: Outside) -> None:
    """The resolver's text stays with us."""

    def nobody() -> list[str]:
        raise socket.gaierror(-2, "secret")

    outside.addresses = nobody
    refused(outside, "its host has no address")


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        pytest.param(answer(b"", "404 secret"), "answered 404", id="404"),
        pytest.param(answer(b"", "206 Partial"), "answered 206", id="part"),
        pytest.param(answer(PNG, "302 Found", "Location: http://127.0.0.1/"), "redirects", id="redirect"),
        pytest.param(answer(PNG, "200 OK", "Content-Encoding: gzip"), "compressed", id="gzip"),
        pytest.param(answer(b"<html>secret"), "no image", id="html"),
        pytest.param(answer(b"%PDF-1.7"), "no image", id="pdf"),
        pytest.param(answer(b"PK\x03\x04"), "no image", id="zip"),
        pytest.param(answer(b""), "no image", id="empty"),
        pytest.param(answer(PNG, length=1 << 40), "more than the 1048576 bytes", id="said-to-be-large"),
        pytest.param(b"HTTP/1.0 200 OK\r\n\r\n" + PNG * 20, "more than the 1048576 bytes", id="large"),
        pytest.param(answer(PNG[:50_000], length=len(PNG)), "broke off", id="cut"),
        pytest.param(b"secret", "connection to its host failed", id="no-http"),
        pytest.param(b"", "connection to its host failed", id="silence"),
        pytest.param(b"HTTP/1.1 200 OK\r\n" + b"X: secret\r\n" * 1000, "connection to its host failed", id="headers"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nsecret", "connection to", id="bad-chunk"
        ),
    ],
)
def test_an_answer_that_is_no_image(outside: Outside, reply: bytes, text: str) -> None:
    """Whatever comes, the client reads our words, and no more is fetched than allowed."""
    outside.reply = reply
    refused(outside, text)
    assert len(outside.called) == 1


def test_the_images_of_a_request_share_its_limit(outside: Outside) -> None:
    """Ten of 100 kB are in a MiB; the eleventh is not."""
    outside.reply = answer()
    fetch = outside.fetcher()
    for _ in range(10):
        fetch(f"http://{HOST}/a.png", "p")
    with pytest.raises(InvalidImage, match="more than the 48496 bytes that are left"):
        fetch(f"http://{HOST}/a.png", "p")


def test_the_log_has_the_host_and_nothing_else_of_the_url(outside: Outside) -> None:
    """A path may hold whatever the client put there."""
    lines: list[str] = []
    sink = logger.add(lines.append, format="{message} {extra}")
    try:
        refused(outside, "failed", f"http://{HOST}/canary?sig=canary")
    finally:
        logger.remove(sink)
    assert HOST in lines[0]
    assert "canary" not in "".join(lines)


def drip(sock: Any) -> None:
    while True:
        sock.sendall(b"X")
        gevent.sleep(0.02)


@pytest.mark.parametrize(
    "begin", [b"", b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.0 200 OK\r\n\r\n" + PNG[:100]], ids=["line", "head", "body"]
)
def test_a_slow_host_has_a_deadline(outside: Outside, begin: bytes) -> None:
    """It may not drip: not before the head, not in it, not in the body."""

    def reply(sock: Any) -> None:
        sock.sendall(begin)
        drip(sock)

    outside.reply = reply
    refused(outside, "did not come within 0.3 s", image_url_timeout=0.3)


def test_a_slow_resolver_has_a_deadline(outside: Outside) -> None:
    """Names are asked for within the same time."""

    outside.addresses = lambda: gevent.sleep(60) or [PUBLIC]
    refused(outside, "did not come within 0.1 s", image_url_timeout=0.1)


# ---- over TLS


def certificate(folder: Path, name: str) -> Path:
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-keyout", str(folder / "key"), "-out", str(folder / "crt"), "-days", "2"),
            *("-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"),
        ],
        check=True,
        capture_output=True,
    )
    return folder / "crt"


@pytest.fixture
def tls(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Outside]:
    """A server with a certificate for the name that is the parameter; it is trusted."""
    crt = certificate(tmp_path, request.param)
    context = SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(crt, tmp_path / "key")
    with internet(answer(), ssl_context=context) as one:
        one.trust = SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        one.trust.load_verify_locations(crt)
        yield one


@pytest.mark.parametrize("tls", [HOST], indirect=True)
def test_over_tls_the_name_is_checked_not_the_address(tls: Outside) -> None:
    """The connection goes to the address, the certificate must be the name's."""
    assert tls.fetch(f"https://{HOST}/a.png") == PNG
    assert tls.called == [(PUBLIC, 443)]
    assert f"Host: {HOST}\r\n".encode() in tls.heads[0]


@pytest.mark.parametrize("tls", ["other.example.com"], indirect=True)
def test_a_certificate_of_another_name_is_refused(tls: Outside) -> None:
    """Also when whoever signed it is trusted; nothing is asked."""
    refused(tls, "certificate cannot be trusted", f"https://{HOST}/a.png")
    assert tls.heads == []


@pytest.mark.parametrize("tls", [HOST], indirect=True)
def test_a_certificate_nobody_signed_is_refused(tls: Outside) -> None:
    """With the trust the service has by default."""
    tls.trust = fetch._trust()
    refused(tls, "certificate cannot be trusted", f"https://{HOST}/a.png")
