"""A file that a client keeps here, found by its owner and read from disk. Used by the views of files and of OCR."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO

import gevent
from flask import request

from src.api.body import BODY_KEY, BoundedBody
from src.api.edge import auth
from src.api.service import service
from src.api.state import files
from src.api.state.database import Database
from src.api.state.files import StoredFile
from src.errors import NotFound, PayloadTooLarge

_CHUNK = 64 << 10
_URL = re.compile(r"https?://[^\s?#]{1,512}/v1/files/(file-[0-9a-f]{32})/content")


def find(file_id: str) -> StoredFile:
    """Raises NotFound, also for another key's file."""
    owner = auth.visible_owner()
    return service().state.read(lambda db: files.ROWS.get(db, owner, file_id))


def pieces(state: Database, file: StoredFile) -> Iterator[bytes]:
    """Its bytes, with other requests' turns between them. Raises NotFound at once."""
    try:
        blob = state.blob(file.id).open("rb")
    except FileNotFoundError:
        raise NotFound(f"The content of {file.id} is gone.", param="file_id") from None
    return _read(blob)


def whole(file_id: str, max_mb: int, param: str) -> bytes:
    """All of an uploaded file.

    Raises:
        NotFound: it is not the caller's, or was written by a batch.
        PayloadTooLarge: it has more than `max_mb`.
        Overloaded: bodies hold too much memory.
    """
    file = find(file_id)
    if file.batch is not None:
        raise NotFound(f"{file.id} is what a batch wrote, no document.", param=param)
    if file.bytes > max_mb << 20:
        text = f"{file.id} has {file.bytes} bytes; a document may have {max_mb} MiB (MAX_BODY_MB)."
        raise PayloadTooLarge(text, param=param)
    body = request.environ.get(BODY_KEY)
    if isinstance(body, BoundedBody):
        body.hold(file.bytes)
    return b"".join(pieces(service().state, file))


def id_in_url(url: str) -> str | None:
    """The file that `GET /v1/files/{id}/url` gave this address of; None for any other address."""
    found = _URL.fullmatch(url.strip())
    return found[1] if found else None


def _read(blob: BinaryIO) -> Iterator[bytes]:
    with blob:
        while piece := blob.read(_CHUNK):
            yield piece
            gevent.sleep(0)
