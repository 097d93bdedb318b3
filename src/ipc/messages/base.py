"""The base of all messages, and the two replies that any request may get.

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
    """The request was accepted: by the supervisor, an OCR worker (a page), or a loaded engine."""


Fallback = Literal["cpu"]


class Failed(Message, frozen=True):
    """The failure of any request: a `ServiceError` on the wire."""

    code: str
    message: str
    param: str | None = None
    retry_after_s: float | None = None

    @classmethod
    def of(cls, error: ServiceError) -> Failed:
        return cls(error.code, error.message, error.param, error.retry_after_s)

    def error(self) -> ServiceError:
        """The `ServiceError` it was created from."""
        return from_code(self.code, self.message, param=self.param, retry_after_s=self.retry_after_s)
