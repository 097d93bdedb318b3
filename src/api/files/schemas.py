"""OpenAI's shapes of files. Pure."""

from __future__ import annotations

import msgspec

from src.api.paging import Listed
from src.api.state.files import StoredFile
from src.api.wire import Wire


class FileOut(Wire, frozen=True):
    id: str
    bytes: int
    created_at: int
    filename: str
    purpose: str
    expires_at: int | None = None
    object: str = "file"
    status: str = "processed"
    status_details: str | None = None
    # Mistral's client wants these two
    sample_type: str | None = None
    source: str | None = None


class FileList(Listed[FileOut], frozen=True):
    """Files."""


class FileUrl(Wire, frozen=True):
    url: str


class FileDeleted(Wire, frozen=True):
    id: str
    object: str = "file"
    deleted: bool = True


def file_out(file: StoredFile) -> FileOut:
    shown = FileOut(file.id, file.bytes, file.created, file.name, file.purpose, file.expires)
    return shown if file.purpose != "ocr" else msgspec.structs.replace(shown, sample_type="ocr_input", source="upload")
