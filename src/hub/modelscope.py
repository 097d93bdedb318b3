"""ModelScope, through the two routes of its HTTP API that its own package uses (modelscope-hub 0.4, `_legacy_api.py`).

Its listings have no commit, so a revision is the digest of all files' digests. Public models only.
"""

from __future__ import annotations

import hashlib
from urllib.parse import urlencode

import httpx2
import msgspec

from src.errors import ExitCode
from src.hub.huggingface import unreachable
from src.hub.snapshot import PullError, RemoteFile, Snapshot, wanted

_ANSWER_S = 20.0
_BRANCH = "master"


class _File(msgspec.Struct, rename="pascal"):
    path: str
    size: int = 0
    type: str = "blob"
    sha256: str | None = None


class _Files(msgspec.Struct, rename="pascal"):
    files: tuple[_File, ...] = ()


class _Listing(msgspec.Struct, rename="pascal"):
    data: _Files | None = None


class ModelScope:
    """See `Hub`."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint.rstrip("/")

    def snapshot(self, model: str) -> Snapshot:
        try:
            answer = httpx2.get(
                f"{self._api(model)}/files?{urlencode({'Revision': _BRANCH, 'Recursive': 'True'})}",
                timeout=_ANSWER_S,
                follow_redirects=True,
            )
        except httpx2.HTTPError as error:
            raise PullError(unreachable(self._endpoint, error)) from None
        listing = self._listing(model, answer)
        files = tuple(
            RemoteFile(file.path, file.size, file.sha256 or "")
            for file in listing.files
            if file.type == "blob" and wanted(file.path)
        )
        return Snapshot(model, "modelscope", _revision(files), files)

    def _listing(self, model: str, answer: httpx2.Response) -> _Files:
        if answer.status_code >= 500 or answer.status_code == 429:
            raise PullError(f"ModelScope returned {answer.status_code}; try again later.")
        if answer.status_code >= 400:
            raise self.status_error(model, answer.status_code)
        try:
            listing = msgspec.json.decode(answer.content, type=_Listing).data
        except msgspec.DecodeError:
            raise PullError(f"{self._endpoint} returned an unexpected response; is a proxy in between?") from None
        if listing is None:
            raise self.status_error(model, 404)
        return listing

    def address(self, snapshot: Snapshot, name: str) -> tuple[str, dict[str, str]]:
        return f"{self._api(snapshot.model)}?{urlencode({'Revision': _BRANCH, 'FilePath': name})}", {}

    def status_error(self, model: str, status: int) -> PullError:
        why = "it is not public" if status in (401, 403) else "no such model"
        return PullError(f"{model} cannot be downloaded from {self._endpoint}: {why}.", ExitCode.MODEL)

    def _api(self, model: str) -> str:
        return f"{self._endpoint}/api/v1/models/{model}/repo"


def _revision(files: tuple[RemoteFile, ...]) -> str:
    listed = msgspec.json.encode(sorted((file.name, file.size, file.digest) for file in files))
    return hashlib.sha256(listed).hexdigest()[:40]
