"""Brings an image that a request names by its URL, where IMAGE_URL_HOSTS lists its host. Web process; `convert` asks.

The connection goes to the very address that was looked at: a name that answers otherwise the second time is not asked
again. No redirect is followed, no proxy is used, and nothing an answer or a library says reaches the client.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any

import gevent
from gevent import socket
from gevent.lock import BoundedSemaphore
from gevent.ssl import SSLContext
from loguru import logger

from src.api.openai import image_urls
from src.api.openai.image_urls import ImageTarget
from src.documents import kinds
from src.errors import InvalidImage
from src.settings import VERSION, Settings

_AT_ONCE = 16
_ADDRESSES = 4  # of a host that are tried
_SILENCE_S = 5.0
_CHUNK = 1 << 16
_OK = 200
_REDIRECTS = range(300, 400)
_KINDS = ("png", "jpeg", "webp", "gif", "bmp", "tiff", "heif", "avif")
_ASK = {
    "Accept": "image/*",
    "Accept-Encoding": "identity",
    "Connection": "close",
    "User-Agent": f"stoker/{VERSION}",
}

_places = BoundedSemaphore(_AT_ONCE)


class _Late(Exception):
    """IMAGE_URL_TIMEOUT is over."""


class _Refused(Exception):
    """The text says why, in words of ours."""


@dataclass(frozen=True)
class Network:
    """The world outside. gevent's sockets: they wait without holding up the hub."""

    resolve: Callable[[str, int], list[str]]
    connect: Callable[[str, int], Any]
    secure: Callable[[Any, str], Any]


class Fetcher:
    """What one request may fetch: its images share MAX_BODY_MB and IMAGE_URL_TIMEOUT."""

    def __init__(self, settings: Settings, network: Network | None = None) -> None:
        self._settings = settings
        self._network = network or _NETWORK
        self._left = settings.max_body_mb << 20
        self._until = time.monotonic() + settings.image_url_timeout

    def __call__(self, url: str, param: str) -> bytes:
        """The bytes behind `url`, an image by what they begin with.

        Raises:
            InvalidRequest: the URL may not be fetched.
            InvalidImage: it could not be, or is no image.
        """
        target = image_urls.target(url, self._settings.image_url_hosts, param)
        try:
            with gevent.Timeout(max(self._until - time.monotonic(), 0.0), _Late), _places:
                data = _fetch(target, self._left, self._network)
        except (_Late, _Refused, OSError, HTTPException) as error:
            reason = _reason(error, self._settings.image_url_timeout)
            logger.bind(host=target.host, error=type(error).__name__).info("an image was not fetched: {}", reason)
            raise InvalidImage(f"The image could not be fetched: {reason}.", param=param) from None
        self._left -= len(data)
        return data


def _reason(error: Exception, timeout_s: float) -> str:
    if isinstance(error, _Refused):
        return str(error)
    if isinstance(error, _Late):
        return f"it did not come within {timeout_s:g} s (IMAGE_URL_TIMEOUT)"
    if isinstance(error, socket.gaierror):
        return "its host has no address"
    if isinstance(error, ssl.SSLCertVerificationError):
        return "its host's certificate cannot be trusted"
    return "the connection to its host failed"


def _fetch(target: ImageTarget, most: int, network: Network) -> bytes:
    addresses = network.resolve(target.host, target.port)
    # one bad address is enough: a good one beside it may be bait
    if not all(map(image_urls.is_public, addresses)):
        raise _Refused("its host has an address that is not public")
    with closing(_connected(addresses[:_ADDRESSES], target.port, network)) as plain:
        sock = network.secure(plain, target.host) if target.scheme == "https" else plain
        with closing(sock), closing(_answer(sock, target)) as answer:
            _check_head(answer, most)
            return _body(answer, most)


def _connected(addresses: list[str], port: int, network: Network) -> Any:
    first, *others = addresses
    try:
        return network.connect(first, port)
    except OSError:
        if not others:
            raise
        return _connected(others, port, network)


def _answer(sock: Any, target: ImageTarget) -> HTTPResponse:
    connection = HTTPConnection(target.host)
    connection.auto_open = 0  # it has its connection, and makes no other
    connection.sock = sock
    connection.request("GET", target.path, headers=_ASK)
    return connection.getresponse()


def _check_head(answer: HTTPResponse, most: int) -> None:
    if answer.status in _REDIRECTS:
        raise _Refused("its host redirects elsewhere, which is not followed")
    if answer.status != _OK:
        raise _Refused(f"its host answered {answer.status}")
    if answer.getheader("Content-Encoding", "identity").lower() != "identity":
        raise _Refused("its host sent it compressed")
    if (answer.length or 0) > most:
        raise _too_large(most)


def _body(answer: HTTPResponse, most: int) -> bytes:
    data = bytearray(answer.read(_CHUNK))
    if kinds.kind(bytes(data[: kinds.HEAD_BYTES])) not in _KINDS:
        raise _Refused("what its host sent is no image")
    while len(data) <= most and (chunk := answer.read(_CHUNK)):
        data += chunk
    if len(data) > most:
        raise _too_large(most)
    if answer.length:
        raise _Refused("it broke off")
    return bytes(data)


def _too_large(most: int) -> _Refused:
    return _Refused(f"it has more than the {most} bytes that are left to this request (MAX_BODY_MB)")


def _resolve(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _connect(address: str, port: int) -> Any:
    return socket.create_connection((address, port), _SILENCE_S)


@lru_cache(1)
def _trust() -> Any:
    context = SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # checks the chain and the name
    context.load_default_certs()
    return context


def _secure(sock: Any, host: str) -> Any:
    return _trust().wrap_socket(sock, server_hostname=host)


_NETWORK = Network(_resolve, _connect, _secure)
