"""A file's upload: a form whose file goes to disk piece by piece, never whole into memory. Web process."""

from __future__ import annotations

import os
import re
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import gevent
from flask import request
from werkzeug.formparser import FormDataParser

from src.errors import BackendUnavailable, InvalidRequest, PayloadTooLarge, UnsupportedMedia
from src.state.places import PARTIAL

PURPOSES = ("batch", "user_data", "ocr")
_FORM_BYTES, _FORM_PARTS = 1 << 20, 16  # the parser counts its buffer of a file, too
_LONGEST_NAME = 255
_SECONDS = re.compile("[0-9]{1,9}")
_SHORTEST_S, _LONGEST_S = 3600, 2_592_000
_RETRY_S = 30.0


class BlobWriter:
    """Where the parser writes a part that is a file. Other requests have their turn between two pieces."""

    def __init__(self, path: Path, limit: int) -> None:
        self.path = path
        self.size = 0
        self._limit = limit
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)

    def write(self, data: bytes) -> int:
        gevent.sleep(0)
        self.size += len(data)
        if self.size > self._limit:
            raise PayloadTooLarge(f"The file exceeds {self._limit >> 20} MiB (FILE_MAX_MB).", param="file")
        left = memoryview(data)
        while left:
            left = left[os.write(self._descriptor, left) :]
        return len(data)

    def seek(self, *_: int) -> int:
        """The parser rewinds what it has written; nobody reads it here."""
        return 0

    def close(self) -> None:
        """Also called by the form's own end."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def discard(self) -> None:
        self.close()
        with suppress(OSError):
            self.path.unlink()


@dataclass(frozen=True)
class FileUpload:
    """A whole file on disk, and what is said of it."""

    writer: BlobWriter
    name: str
    purpose: str
    expires_after_s: int | None


class Receiver:
    """Takes one request's form; `close` removes what was not kept."""

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder, self._limit = folder, limit
        self._writers: list[BlobWriter] = []

    def receive(self) -> FileUpload:
        """Raises InvalidRequest, UnsupportedMedia, PayloadTooLarge, and BackendUnavailable when the disk is full."""
        if request.mimetype != "multipart/form-data":
            raise UnsupportedMedia("Send multipart/form-data with purpose and file.")
        parser = FormDataParser(
            stream_factory=self._open, max_form_memory_size=_FORM_BYTES, max_form_parts=_FORM_PARTS, silent=False
        )
        try:
            _, form, files = parser.parse(
                request.stream, request.mimetype, request.content_length, request.mimetype_params
            )
        except OSError:
            raise BackendUnavailable(
                "The file cannot be stored at the moment; the disk may be full.", retry_after_s=_RETRY_S
            ) from None
        except ValueError:
            raise InvalidRequest("The body is not a valid form.", param="body") from None
        file = files.get("file")
        if file is None:
            raise InvalidRequest("Missing required parameter: 'file'.", param="file")
        name = (file.filename or "file")[:_LONGEST_NAME]
        expires_after_s = _expires_after(form.to_dict())
        return FileUpload(cast(BlobWriter, file.stream), name, _purpose(form.get("purpose")), expires_after_s)

    def close(self) -> None:
        for writer in self._writers:
            writer.discard()

    def _open(self, *_: Any, **__: Any) -> IO[bytes]:
        if self._writers:
            raise InvalidRequest("One file is taken at a time.", param="file")
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._writers.append(BlobWriter(self._folder / (uuid.uuid4().hex + PARTIAL), self._limit))
        return cast(IO[bytes], self._writers[0])


def _purpose(given: str | None) -> str:
    if given is None:
        raise InvalidRequest("Missing required parameter: 'purpose'.", param="purpose")
    if given not in PURPOSES:
        raise InvalidRequest(f"Invalid value for 'purpose': one of {', '.join(PURPOSES)}.", param="purpose")
    return given


def _expires_after(form: dict[str, str]) -> int | None:
    """`expires_after[anchor]` and `expires_after[seconds]`, as OpenAI's clients write them into a form."""
    anchor, seconds = form.get("expires_after[anchor]"), form.get("expires_after[seconds]")
    if anchor is None and seconds is None:
        return None
    if anchor != "created_at":
        raise InvalidRequest("expires_after needs the anchor 'created_at'.", param="expires_after[anchor]")
    if seconds is None or not _SECONDS.fullmatch(seconds) or not _SHORTEST_S <= int(seconds) <= _LONGEST_S:
        text = f"expires_after.seconds must be {_SHORTEST_S} to {_LONGEST_S}."
        raise InvalidRequest(text, param="expires_after[seconds]")
    return int(seconds)
