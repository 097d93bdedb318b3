"""Downloads a snapshot's files into a folder: concurrently, resumable, verified against the hub's digests.

huggingface_hub's own download discards partial files after an interruption, so a shard of 5 GB cannot be resumed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import httpx2

from src.hub.snapshot import Hub, PullError, RemoteFile, Snapshot

_CONCURRENT_FILES = 4
_CHUNK = 1 << 20
_CONNECT_S = 10.0
_READ_TIMEOUT_S = 30.0
_MAX_FAILURES = 5  # consecutive attempts without progress
_PAUSE_S = 1.0
_PAUSE_MAX_S = 15.0
_TRANSIENT = (408, 425, 429)

OnBytes = Callable[[int], None]


class _TransientError(Exception):
    """The connection failed or the hub is busy: retry."""


def part(file: RemoteFile, folder: Path) -> Path:
    """The partial file. Named by digest, so that another revision's partial file is not resumed."""
    place = folder / file.name
    return place.with_name(f".{place.name}.{file.digest[:12]}.part")


def left(files: tuple[RemoteFile, ...], folder: Path) -> int:
    """Bytes left to download."""
    return sum(file.size - _downloaded_bytes(file, folder) for file in files)


def fetch(
    hub: Hub,
    snapshot: Snapshot,
    files: tuple[RemoteFile, ...],
    folder: Path,
    on_bytes: OnBytes,
    pause_s: float = _PAUSE_S,
) -> None:
    """Download missing files. Partial files are kept for the next run.

    Raises:
        PullError: a file cannot be downloaded; OSError: it cannot be written.
    """
    stopped = Event()
    missing = [file for file in files if not (folder / file.name).is_file()]
    for file in missing:
        (folder / file.name).parent.mkdir(exist_ok=True)
    timeout = httpx2.Timeout(_READ_TIMEOUT_S, connect=_CONNECT_S)
    with (
        httpx2.Client(timeout=timeout, follow_redirects=True) as client,
        ThreadPoolExecutor(_CONCURRENT_FILES) as executor,
    ):
        one = _FileDownload(client, hub, snapshot, folder, on_bytes, pause_s, stopped)
        try:
            for done in as_completed([executor.submit(one.file, file) for file in missing]):
                done.result()
        finally:
            stopped.set()


@dataclass(frozen=True)
class _FileDownload:
    """Downloads the files of one snapshot."""

    client: httpx2.Client
    hub: Hub
    snapshot: Snapshot
    folder: Path
    on_bytes: OnBytes
    pause_s: float
    stopped: Event

    def file(self, file: RemoteFile) -> None:
        partial = part(file, self.folder)
        resumed, failures = _size(partial) > 0, 0
        while not self.stopped.is_set() and (have := _size(partial)) < file.size:
            error = self._attempt(file, partial, have)
            failures = 0 if _size(partial) > have else failures + 1
            if failures > _MAX_FAILURES:
                raise PullError(
                    f"The download of {file.name} was interrupted ({error or 'no data'}); run this again to resume."
                )
            if error is not None:
                self.stopped.wait(min(self.pause_s * 2**failures, _PAUSE_MAX_S))
        if not self.stopped.is_set():
            partial.touch()  # an empty file needs no request
            self._verify(file, partial, resumed=resumed)

    def _attempt(self, file: RemoteFile, partial: Path, have: int) -> str | None:
        """One attempt; the error that interrupted it, if any."""
        try:
            self._resume(file, partial, have)
        except (_TransientError, httpx2.RequestError) as error:
            return str(error) or type(error).__name__
        return None

    def _resume(self, file: RemoteFile, partial: Path, have: int) -> None:
        url, headers = self.hub.address(self.snapshot, file.name)
        headers = headers | {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
        with self.client.stream("GET", url, headers=headers) as answer:
            if answer.status_code == httpx2.codes.RANGE_NOT_SATISFIABLE:
                raise self._changed(file, partial)
            self._expect(answer)
            if have and answer.status_code != httpx2.codes.PARTIAL_CONTENT:
                partial.unlink()  # the hub ignored the range
                self.on_bytes(-have)
                have = 0
            with partial.open("ab") as target:
                for chunk in answer.iter_bytes():
                    have += len(chunk)
                    if self.stopped.is_set() or have > file.size:
                        break
                    target.write(chunk)
                    self.on_bytes(len(chunk))
        if have > file.size:
            raise self._changed(file, partial)

    def _expect(self, answer: httpx2.Response) -> None:
        if answer.is_success:
            return
        if answer.status_code >= 500 or answer.status_code in _TRANSIENT:
            raise _TransientError(f"the hub returned {answer.status_code}")
        raise self.hub.status_error(self.snapshot.model, answer.status_code)

    def _verify(self, file: RemoteFile, partial: Path, *, resumed: bool) -> None:
        if not file.digest or _digest(partial, file.digest) == file.digest:
            partial.replace(self.folder / file.name)
            return
        changed = self._changed(file, partial)
        if not resumed:
            raise changed
        self.file(file)  # what an earlier run left of it was wrong: from its beginning, once

    def _changed(self, file: RemoteFile, partial: Path) -> PullError:
        self.on_bytes(-_size(partial))
        partial.unlink()
        return PullError(f"{file.name} does not match the hub's digest and was deleted; run this again.")


def _downloaded_bytes(file: RemoteFile, folder: Path) -> int:
    return file.size if (folder / file.name).is_file() else _size(part(file, folder))


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _digest(path: Path, like: str) -> str:
    """SHA-256, or git's blob id if the expected digest has its length."""
    digest = hashlib.sha256()
    if len(like) == 40:
        digest = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
