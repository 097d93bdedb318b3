"""A batch's input, checked line by line before anything of it runs: each error names its line. Pure, but for reading.

Some lines at a time, so that a long file holds up nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import msgspec

from src.api.state.batches import Line, LineError
from src.errors import InvalidRequest

_LONGEST_ID = 512
_MOST_ERRORS = 100
_PER_CHUNK = 200
_NEVER = {"stream": "a batch does not stream.", "background": "a batch is in the background as a whole."}
_BOM = b"\xef\xbb\xbf"


def check_upload(file: BinaryIO, longest_line: int) -> Iterator[None]:
    """Whether each line is a JSON object, some lines at a time; what else a batch asks of it depends on its endpoint.

    Raises:
        InvalidRequest: naming the first line that is none, or too long.
    """
    check = InputCheck("", "", 1 << 62, longest_line)
    for number, _, raw in check.lines(file):
        if not isinstance(decoded(raw), dict):
            check.error("invalid_json_line", f"Line {number} is not a JSON object.", number)
        if check.errors:
            break
        if number % _PER_CHUNK == 0:
            yield
    if check.errors:
        raise InvalidRequest(check.errors[0].message, param="file")


def decoded(raw: bytes) -> object:
    """A line's JSON; None where it is none."""
    try:
        return msgspec.json.decode(raw.removeprefix(_BOM))
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None


@dataclass
class InputCheck:
    """Of one file. `errors` fills while `chunks` is read; `model` is what all lines name."""

    endpoint: str
    default_model: str
    most_lines: int
    longest_line: int
    errors: list[LineError] = field(default_factory=list)
    model: str | None = None
    count: int = 0

    def chunks(self, file: BinaryIO) -> Iterator[list[Line]]:
        """The lines, some at a time; it ends early when there are too many errors or lines, or one is too long."""
        found: list[Line] = []
        for number, start, raw in self.lines(file):
            line = self._line(number, start, raw)
            if line is not None:
                found.append(line)
            if len(found) == _PER_CHUNK or len(self.errors) >= _MOST_ERRORS:
                yield found
                found = []
            if len(self.errors) >= _MOST_ERRORS:
                return
        yield found
        if not self.count and not self.errors:
            self.error("empty_file", "The file has no requests.")

    def error(self, code: str, message: str, line: int | None = None, param: str | None = None) -> None:
        self.errors.append(LineError(code, message, param, line))

    def duplicate(self, line: Line) -> None:
        text = f"Line {line.number}: custom_id is another line's."
        self.error("duplicate_custom_id", text, line.number, "custom_id")

    def lines(self, file: BinaryIO) -> Iterator[tuple[int, int, bytes]]:
        """Number, place and text of each line that is not blank."""
        number = 0
        while True:
            start = file.tell()
            raw = file.readline(self.longest_line + 1)
            if not raw:
                return
            number += 1
            if len(raw) > self.longest_line:
                text = f"Line {number} exceeds {self.longest_line >> 10} KiB (BATCH_LINE_KB)."
                return self.error("line_too_large", text, number)
            if not raw.strip():
                continue
            self.count += 1
            if self.count > self.most_lines:
                text = f"The file has more than {self.most_lines} requests (BATCH_MAX_LINES)."
                return self.error("too_many_requests", text, number)
            yield number, start, raw

    def _line(self, number: int, start: int, raw: bytes) -> Line | None:
        request = decoded(raw)
        if not isinstance(request, dict):
            self.error("invalid_json_line", f"Line {number} is not a JSON object.", number)
            return None
        if (wrong := self._wrong(request)) is not None:
            code, param, text = wrong
            self.error(code, f"Line {number}: {text}", number, param)
            return None
        return Line(number, request["custom_id"], start, len(raw))

    def _wrong(self, request: dict[str, Any]) -> tuple[str, str, str] | None:
        """Code, field and text of the first thing that is wrong."""
        name, body = request.get("custom_id"), request.get("body")
        if not isinstance(name, str) or not 0 < len(name) <= _LONGEST_ID:
            return "invalid_custom_id", "custom_id", f"custom_id must be a text of 1 to {_LONGEST_ID} characters."
        if request.get("method") != "POST":
            return "invalid_method", "method", "method must be POST."
        if request.get("url") != self.endpoint:
            return "mismatched_endpoint", "url", f"url must be the batch's endpoint, {self.endpoint}."
        if not isinstance(body, dict):
            return "invalid_body", "body", "body must be a JSON object."
        for name, why in _NEVER.items():
            if body.get(name):
                return "unsupported_value", f"body.{name}", why
        return self._wrong_model(body)

    def _wrong_model(self, body: dict[str, Any]) -> tuple[str, str, str] | None:
        model = body.get("model") or self.default_model
        if not isinstance(model, str):
            return "invalid_value", "body.model", "model must be a text."
        if self.model is None:
            self.model = model
        if model != self.model:
            return "mismatched_model", "body.model", "all requests of a batch name one model; this one names another."
        return None
