"""Frames on the wire: four bytes of big-endian length, then one msgpack message. No I/O here.

Used by both ends in every process; `Decoder` is fed bytes and returns whole messages.
"""

from __future__ import annotations

import struct

import msgspec

from src.ipc.messages.wire import AnyMessage

# a 1 GiB body (the settings' bound) with room for the rest of the message
MAX_FRAME_BYTES = (1 << 30) + (1 << 16)

_HEADER = struct.Struct(">I")
_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[AnyMessage] = msgspec.msgpack.Decoder(AnyMessage)


class FramingError(Exception):
    """An invalid frame, or a connection closed inside one."""


def encode(message: AnyMessage) -> bytes:
    """One message as one frame."""
    body = _encoder.encode(message)
    return _HEADER.pack(len(body)) + body


class Decoder:
    """Collects bytes of one connection and cuts them into messages."""

    def __init__(self, max_bytes: int = MAX_FRAME_BYTES) -> None:
        self._buffer = bytearray()
        self._max = max_bytes

    def feed(self, data: bytes) -> list[AnyMessage]:
        """Add received bytes; returns the messages that are complete.

        Raises:
            FramingError: a frame exceeds the limit or is not a message.
        """
        self._buffer += data
        messages, start = [], 0
        with memoryview(self._buffer) as view:
            while (end := self._frame_end(start)) is not None:
                with view[start + _HEADER.size : end] as body:
                    messages.append(self._parse(body))
                start = end
        del self._buffer[:start]
        return messages

    def eof(self) -> None:
        """The peer closed, which is valid between frames only."""
        if self._buffer:
            raise FramingError(f"connection closed inside a frame ({len(self._buffer)} bytes received)")

    def _frame_end(self, start: int) -> int | None:
        if len(self._buffer) - start < _HEADER.size:
            return None
        (length,) = _HEADER.unpack_from(self._buffer, start)
        if length > self._max:
            raise FramingError(f"frame of {length} bytes exceeds the limit of {self._max}")
        end = start + _HEADER.size + int(length)
        return end if end <= len(self._buffer) else None

    @staticmethod
    def _parse(body: memoryview) -> AnyMessage:
        try:
            return _decoder.decode(body)
        except msgspec.MsgspecError as error:
            raise FramingError(f"not a message: {error}") from None
