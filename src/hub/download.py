"""A snapshot's files brought into a folder: several at once, each from where it broke off, none kept that is not what
the hub listed.

huggingface_hub's own download throws a part away when it is broken off, which for a shard of 5 GB is no resume.
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

_AT_ONCE = 4
_CHUNK = 1 << 20
_CONNECT_S = 10.0
_SILENCE_S = 30.0
_TRIES = 5  # without a byte that was new
_PAUSE_S = 1.0
_PAUSE_MAX_S = 15.0
_TRANSIENT = (408, 425, 429)

OnBytes = Callable[[int], None]


class _Broken(Exception):
    """The connection failed, or the hub is busy: it may be tried again."""


def part(file: RemoteFile, folder: Path) -> Path:
    """Where a file grows. Named for its content: what another revision left is not gone on with."""
    return folder / f".{file.name}.{file.digest[:12]}.part"


def left(files: tuple[RemoteFile, ...], folder: Path) -> int:
    """Bytes still to come."""
    return sum(file.size - _have(file, folder) for file in files)


def fetch(
    hub: Hub,
    snapshot: Snapshot,
    files: tuple[RemoteFile, ...],
    folder: Path,
    on_bytes: OnBytes,
    pause_s: float = _PAUSE_S,
) -> None:
    """Bring what is not there yet. What was begun stays for the next time, whatever stops it.

    Raises:
        PullError: a file cannot be had; OSError: the disk says no.
    """
    stopped = Event()
    missing = [file for file in files if not (folder / file.name).is_file()]
    timeout = httpx2.Timeout(_SILENCE_S, connect=_CONNECT_S)
    with (
        httpx2.Client(timeout=timeout, follow_redirects=True) as client,
        ThreadPoolExecutor(_AT_ONCE) as crowd,
    ):
        one = _Fetch(client, hub, snapshot, folder, on_bytes, pause_s, stopped)
        try:
            for done in as_completed([crowd.submit(one.file, file) for file in missing]):
                done.result()
        finally:
            stopped.set()


@dataclass(frozen=True)
class _Fetch:
    """What all files of one snapshot are fetched with."""

    client: httpx2.Client
    hub: Hub
    snapshot: Snapshot
    folder: Path
    on_bytes: OnBytes
    pause_s: float
    stopped: Event

    def file(self, file: RemoteFile) -> None:
        growing = part(file, self.folder)
        failures = 0
        while not self.stopped.is_set() and (have := _size(growing)) < file.size:
            trouble = self._attempt(file, growing, have)
            failures = 0 if _size(growing) > have else failures + 1
            if failures > _TRIES:
                raise PullError(f"{file.name} broke off ({trouble or 'nothing came'}); run this again to go on.")
            if trouble is not None:
                self.stopped.wait(min(self.pause_s * 2**failures, _PAUSE_MAX_S))
        if not self.stopped.is_set():
            growing.touch()  # an empty file has no bytes to wait for
            self._accept(file, growing)

    def _attempt(self, file: RemoteFile, growing: Path, have: int) -> str | None:
        """What broke it off, if something did."""
        try:
            self._go_on(file, growing, have)
        except (_Broken, httpx2.RequestError) as error:
            return str(error) or type(error).__name__
        return None

    def _go_on(self, file: RemoteFile, growing: Path, have: int) -> None:
        url, headers = self.hub.address(self.snapshot, file.name)
        headers = headers | {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
        with self.client.stream("GET", url, headers=headers) as answer:
            if answer.status_code == httpx2.codes.RANGE_NOT_SATISFIABLE:
                raise self._changed(file, growing)
            self._expect(answer)
            if have and answer.status_code != httpx2.codes.PARTIAL_CONTENT:
                growing.unlink()  # the hub begins anew
                self.on_bytes(-have)
                have = 0
            with growing.open("ab") as target:
                for chunk in answer.iter_bytes():
                    have += len(chunk)
                    if self.stopped.is_set() or have > file.size:
                        break
                    target.write(chunk)
                    self.on_bytes(len(chunk))
        if have > file.size:
            raise self._changed(file, growing)

    def _expect(self, answer: httpx2.Response) -> None:
        if answer.is_success:
            return
        if answer.status_code >= 500 or answer.status_code in _TRANSIENT:
            raise _Broken(f"the hub answered {answer.status_code}")
        raise self.hub.refusal(self.snapshot.model, answer.status_code)

    def _accept(self, file: RemoteFile, growing: Path) -> None:
        if file.digest and _digest(growing, file.digest) != file.digest:
            raise self._changed(file, growing)
        growing.replace(self.folder / file.name)

    def _changed(self, file: RemoteFile, growing: Path) -> PullError:
        self.on_bytes(-_size(growing))
        growing.unlink()
        return PullError(f"{file.name} is not what the hub listed, so it was thrown away; run this again.")


def _have(file: RemoteFile, folder: Path) -> int:
    return file.size if (folder / file.name).is_file() else _size(part(file, folder))


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _digest(path: Path, like: str) -> str:
    """SHA-256, or git's blob id when the expected one is as long as that is."""
    digest = hashlib.sha256()
    if len(like) == 40:
        digest = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
