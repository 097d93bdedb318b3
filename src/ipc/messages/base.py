"""What all messages share: their base, and the two that answer anything.

One AF_UNIX connection carries one request: its frame goes in, events come back until exactly one outcome (`Finished`,
`OcrResult` or `Failed`). Closing the connection cancels the request. Durations, never time stamps, cross the wire:
clocks of two processes cannot be compared.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from src.errors import ServiceError, from_code


class Message(msgspec.Struct, frozen=True, tag=True, omit_defaults=True):
    """Base of all messages; the class name is the tag on the wire."""


Priority = Literal["high", "normal", "low", "background"]


class Accepted(Message, frozen=True):
    """Received, and begun: by the supervisor (a stop), an OCR worker (a page), a loaded engine (a request)."""


Fallback = Literal["cpu"]


class Failed(Message, frozen=True):
    """The one bad end of any request: a `ServiceError` on its way to another process."""

    code: str
    message: str
    param: str | None = None
    retry_after_s: float | None = None

    @classmethod
    def of(cls, error: ServiceError) -> Failed:
        return cls(error.code, error.message, error.param, error.retry_after_s)

    def error(self) -> ServiceError:
        """What it was made `of`, on this side of the wire."""
        return from_code(self.code, self.message, param=self.param, retry_after_s=self.retry_after_s)
