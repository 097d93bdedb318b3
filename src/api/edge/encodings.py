"""Request bodies that arrive compressed (`Content-Encoding`), decoded while they are read. Web process; by `app.py`.

A decoder holds one piece and its window, and what comes out is counted: a few bytes that would become gigabytes are a
413 at MAX_BODY_MB.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Callable
from typing import Any, Protocol, cast

import gevent
import zstandard
from flask import Flask, request

from src.api.body import BODY_KEY, BoundedBody, too_large
from src.api.edge.middleware import Environ
from src.errors import InvalidRequest, UnsupportedMedia

_PIECE = 1 << 16
# what RFC 8878 has every decoder take; a frame that needs more memory is refused
_ZSTD_WINDOW = 8 << 20
_MOST_CODINGS = 2
_DAMAGED = (zlib.error, zstandard.ZstdError, gzip.BadGzipFile, EOFError)


class Readable(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


def install(app: Flask) -> None:
    """After authentication: nothing is decoded for strangers."""
    app.before_request(_decode)


def _decode() -> None:
    if codings := _codings(request.headers.get("Content-Encoding", "")):
        decode(request.environ, codings)


def decode(environ: Environ, codings: list[str]) -> None:
    """Put the decoded body in the place of the encoded one, whose length says nothing any more.

    Raises:
        UnsupportedMedia: for a coding that is not known, or too many of them.
    """
    if unknown := [coding for coding in codings if coding not in _OPENERS]:
        text = f"Content-Encoding {', '.join(unknown)!r} is not supported; gzip, deflate, zstd and identity are."
        raise UnsupportedMedia(text, param="Content-Encoding")
    if len(codings) > _MOST_CODINGS:
        text = f"Content-Encoding names {len(codings)} codings; at most {_MOST_CODINGS} are supported."
        raise UnsupportedMedia(text, param="Content-Encoding")
    body = cast(BoundedBody, environ["wsgi.input"])
    for coding in reversed(codings):
        decoded = DecodedBody(_OPENERS[coding](body), body.limit, coding, environ[BODY_KEY].hold)
        body = cast(BoundedBody, decoded)
    environ["wsgi.input"] = body
    environ["wsgi.input_terminated"] = True
    environ.pop("CONTENT_LENGTH", None)


def _codings(header: str) -> list[str]:
    named = (coding.strip().lower().removeprefix("x-") for coding in header.split(","))
    return [coding for coding in named if coding not in ("", "identity")]


class DecodedBody:
    """A decoder's output, up to a limit of bytes. Other requests have their turn between two pieces."""

    def __init__(self, source: Readable, limit: int, coding: str, hold: Callable[[int], None]) -> None:
        self._source = source
        self._hold = hold
        self._left = limit
        self._coding = coding
        self._line = b""
        self.limit = limit

    def read(self, size: int = -1) -> bytes:
        pieces, wanted = [], size if size >= 0 else self.limit + 1
        while wanted > 0 and (piece := self._piece(min(wanted, _PIECE))):
            pieces.append(piece)
            wanted -= len(piece)
        return b"".join(pieces)

    def narrow(self, limit: int, length: int | None) -> None:  # noqa: ARG002  # the encoded body's says nothing here
        """This route takes less."""
        self.limit, self._left = min(self.limit, limit), min(self._left, limit)

    def _piece(self, size: int) -> bytes:
        gevent.sleep(0)
        try:
            piece = self._source.read(size)
        except _DAMAGED:
            # the library's text may hold a piece of the body
            raise InvalidRequest(f"The body is not whole {self._coding} data.", param="body") from None
        self._left -= len(piece)
        if self._left < 0:
            raise too_large(self.limit)
        self._hold(len(piece))
        return piece


class Inflating(io.RawIOBase):
    """`deflate`: zlib's format by the standard, bare deflate by many senders."""

    def __init__(self, body: Readable) -> None:
        self._body = body
        self._wrapped: Any = None
        self._data = b""

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes; b"" at the end."""
        while self._wrapped is None or not self._wrapped.eof:
            made = self._inflate(size)
            if made:
                return made
        if self._wrapped.unused_data or self._body.read(1):
            raise EOFError
        return b""

    def _inflate(self, size: int) -> bytes:
        data = self._data or self._body.read(_PIECE)
        if self._wrapped is None:
            self._wrapped = zlib.decompressobj(zlib.MAX_WBITS if data[:1] and data[0] & 15 == 8 else -zlib.MAX_WBITS)
        made = cast(bytes, self._wrapped.decompress(data, size))
        self._data = self._wrapped.unconsumed_tail
        if not made and not data and not self._wrapped.eof:
            raise EOFError
        return made


def _unzstd(body: Readable) -> Readable:
    decompressor = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
    return cast(Readable, decompressor.stream_reader(cast(Any, body), read_size=_PIECE, read_across_frames=True))


_OPENERS: dict[str, Callable[[Readable], Readable]] = {
    "gzip": lambda body: gzip.GzipFile(fileobj=cast(Any, body)),
    "deflate": Inflating,
    "zstd": _unzstd,
}
