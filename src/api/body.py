"""Request bodies: read up to a limit of bytes and seconds, in a slot of a cap and in a memory for all; their parts
counted before any schema reads them. Web process.

Everything that reads a body reads it through `BoundedBody`, the request's `wsgi.input`: no view can forget one of the
bounds. The schemas know the meaning of fields; `check_parts` knows that a list of a million of them is an attack.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import gevent
import msgspec
from gunicorn.http.errors import ParseException

from src.errors import InvalidRequest, Overloaded, PayloadTooLarge, RequestTimeout
from src.settings import SecuritySettings

# a body's first bytes always have room: who sends much must not keep out who sends little
_FREE_BYTES = 256 << 10
_CHUNK = 64 << 10
_RETRY_S = 2.0
# as it came: `encodings` puts another in the place of `wsgi.input`
BODY_KEY = "stoker.body"


class BodyMemory:
    """Bytes that the bodies of all requests hold, from when they are read until the response has ended."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.held = 0

    def take(self, count: int) -> None:
        """Raises Overloaded when that many have no room."""
        if self.held + count > self._limit:
            text = f"Request bodies hold {self.held >> 20} of {self._limit >> 20} MiB (MAX_BODIES_MB)."
            raise Overloaded(f"{text} Try again when there is less load.", retry_after_s=_RETRY_S)
        self.held += count

    def give_back(self, count: int) -> None:
        self.held -= count


class Slots(Protocol):
    """The cap of bodies being read and its shares, as `InFlight` keeps them."""

    def begin_reading(self, owner: str) -> None:
        """Raises Overloaded, or ShuttingDown."""

    def end_reading(self, owner: str) -> None: ...


def too_large(limit: int) -> PayloadTooLarge:
    setting = "MAX_BODY_MB; of a file FILE_MAX_MB"
    size = f"{limit >> 20} MiB ({setting})" if limit >= 1 << 20 else f"{limit >> 10} KiB, the limit of this route"
    return PayloadTooLarge(f"The body exceeds {size}.", param="body")


def too_slow() -> RequestTimeout:
    return RequestTimeout("The body did not arrive in time (BODY_TIMEOUT).", param="body")


class BoundedBody:
    """One request's body. gunicorn has no limits, and werkzeug cuts a chunked body without a word."""

    def __init__(
        self,
        stream: Any,
        limit: int,
        seconds: float,
        slots: Slots,
        memory: BodyMemory,
        find_owner: Callable[[], str] = str,
    ) -> None:
        """`find_owner` is asked at the first read: whose request it is shows in its headers."""
        self._stream = stream
        self._find_owner = find_owner
        self._owner = ""
        self._deadline = time.monotonic() + seconds
        self._slots = slots
        self._memory = memory
        self._in_slot = self._begun = self._to_disk = False
        self._read = self._size = self._counted = 0
        self.limit = limit

    def narrow(self, limit: int, length: int | None) -> None:
        """This route takes less; raises PayloadTooLarge for a body that says it is longer."""
        self.limit = min(self.limit, limit)
        if length is not None and length > self.limit:
            raise too_large(self.limit)

    def stream_to_disk(self, limit: int, seconds: float, length: int | None) -> None:
        """This route keeps none of it in memory: it may be longer, and take longer. Raises as `narrow`."""
        self._to_disk = True
        self._deadline += seconds
        self.limit = limit
        self.narrow(limit, length)

    def read(self, size: int = -1) -> bytes:
        if size >= 0:
            return self._count(lambda: self._stream.read(min(size, self._left + 1)))
        return b"".join(iter(lambda: self.read(_CHUNK), b""))

    def readline(self, size: int = -1) -> bytes:
        return self._count(lambda: self._stream.readline(min(size, self._left + 1) if size >= 0 else self._left + 1))

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.readline, b"")

    def leave_slot(self) -> None:
        """The request goes on in a slot of its own, or has ended. May be called again."""
        if self._in_slot:
            self._in_slot = False
            self._slots.end_reading(self._owner)

    def close(self) -> None:
        """The response has ended: what was held is given back."""
        self.leave_slot()
        self._memory.give_back(self._counted)
        self._counted = 0

    @property
    def _left(self) -> int:
        return self.limit - self._read

    def _enter_slot(self) -> None:
        if not self._begun:
            self._owner = self._find_owner()
            self._slots.begin_reading(self._owner)
            self._begun = self._in_slot = True

    def _count(self, read: Callable[[], bytes]) -> bytes:
        self._enter_slot()
        with gevent.Timeout(max(0.01, self._deadline - time.monotonic()), too_slow()):
            data = _read_or_refuse(read)
        self._read += len(data)
        if self._left < 0:
            raise too_large(self.limit)
        self.hold(len(data))
        return data

    def hold(self, count: int) -> None:
        """Count bytes that were read, or made of what was read; raises Overloaded."""
        if self._to_disk:
            return
        self._size += count
        more = max(0, self._size - _FREE_BYTES) - self._counted
        if more:
            self._memory.take(more)
            self._counted += more


def leave_slot(environ: Mapping[str, Any]) -> None:
    """Of the request with this environment: called at once before it takes a slot of its own."""
    body = environ.get(BODY_KEY)
    if isinstance(body, BoundedBody):
        body.leave_slot()


def _read_or_refuse(read: Callable[[], bytes]) -> bytes:
    try:
        return read()
    except (OSError, ParseException):
        # wrong chunks, or a client that stopped sending; the exception's text may hold a piece of the body
        raise InvalidRequest("Could not read the request body.", param="body") from None


_DEEPEST = 64
_MOST_BIASES = 1024
_ITEMS_PER_TURN = 2
_SCHEMAS = ("response_format", "guided_json", "structured_outputs", "tools", "functions", "text_format")


def check_parts(body: dict[str, object], limits: SecuritySettings) -> None:
    """Raise `InvalidRequest`, naming the field, for the first part that is too large."""
    for name, most, setting in (
        ("messages", limits.max_messages, "MAX_MESSAGES"),
        ("tools", limits.max_tools, "MAX_TOOLS"),
        ("functions", limits.max_tools, "MAX_TOOLS"),
    ):
        _bound(name, body.get(name), most, setting)
    _bound("logit_bias", body.get("logit_bias"), _MOST_BIASES, "")
    messages = body.get("messages")
    for at, turn in enumerate(messages if isinstance(messages, list) else ()):
        content = turn.get("content") if isinstance(turn, dict) else None
        if isinstance(content, list):
            _bound(f"messages[{at}].content", content, limits.max_content_parts, "MAX_CONTENT_PARTS")
    _schemas(body, limits.max_schema_kb)


def check_items(items: object, limits: SecuritySettings) -> None:
    """As `check_parts`, for a response's `input`: a turn is several items there."""
    _bound("input", items, _ITEMS_PER_TURN * limits.max_messages, f"{_ITEMS_PER_TURN} × MAX_MESSAGES")


def _bound(name: str, value: object, most: int, setting: str) -> None:
    if isinstance(value, list | dict) and len(value) > most:
        raise InvalidRequest(f"{name} has {len(value)} entries, at most {most} are taken{_by(setting)}.", param=name)


def _schemas(body: dict[str, object], most_kb: int) -> None:
    for name, schema in _definitions(body):
        if _depth(schema) > _DEEPEST:
            raise InvalidRequest(f"{name} is nested more than {_DEEPEST} levels deep.", param=name)
        if len(msgspec.json.encode(schema)) > most_kb << 10:
            raise InvalidRequest(f"{name} is larger than {most_kb} KiB{_by('MAX_SCHEMA_KB')}.", param=name)


def _definitions(body: dict[str, object]) -> Iterator[tuple[str, object]]:
    for name in _SCHEMAS:
        value = body.get(name)
        if isinstance(value, list):
            yield from ((f"{name}[{at}]", entry) for at, entry in enumerate(value))
        elif value is not None:
            yield name, value


def _depth(value: object) -> int:
    """How deep it is nested; without recursion, for it may be very deep."""
    level, depth = [value], 0
    while level and depth <= _DEEPEST:
        depth += 1
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
    return depth


def _by(setting: str) -> str:
    return f" ({setting})" if setting else ""
