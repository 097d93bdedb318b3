"""One revision of a model as a hub lists it, and the interface of hubs. `stoker.json` beside the weights records the
snapshot they came from.
"""

from __future__ import annotations

import fnmatch
import re
from pathlib import Path
from typing import Literal, Protocol

import msgspec

from src.errors import ExitCode

Source = Literal["huggingface", "modelscope"]
RECORD = "stoker.json"

# what mlx-lm and mlx-vlm load. No folders but an embedding model's steps, so no name can leave the model's own; and no
# *.py: a model's code never runs
_WANTED = ("*.json", "*.jsonl", "*.jinja", "*.txt", "*.model", "*.tiktoken", "model*.safetensors")
_STEP = re.compile(r"\d{1,2}_(Pooling|Dense|Normalize)/(config\.json|model\.safetensors)", re.ASCII)
_NOT_WANTED = ("training_args*", "trainer_state*", "optimizer*", RECORD)
_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)


class PullError(Exception):
    """A pull failed; the message is for the operator, `code` is the exit code."""

    def __init__(self, message: str, code: ExitCode = ExitCode.FAILURE) -> None:
        super().__init__(message)
        self.code = code


class RemoteFile(msgspec.Struct, frozen=True):
    """`digest`: SHA-256, or git's blob id for files in the repository itself; empty if unknown."""

    name: str
    size: int
    digest: str


class Snapshot(msgspec.Struct, frozen=True, omit_defaults=True):
    """A model at one revision. `quantized`: bits, when the weights here were made from it."""

    model: str
    source: Source
    revision: str
    files: tuple[RemoteFile, ...] = ()
    quantized: int | None = None


class Hub(Protocol):
    """A source of models."""

    def snapshot(self, model: str) -> Snapshot:
        """The newest revision.

        Raises:
            PullError: no such model, or the hub is unreachable.
        """

    def address(self, snapshot: Snapshot, name: str) -> tuple[str, dict[str, str]]:
        """A file's URL and request headers."""

    def status_error(self, model: str, status: int) -> PullError:
        """The error for a 4xx response."""


def is_hub_id(model: str) -> bool:
    return _ID.fullmatch(model) is not None


def wanted(name: str) -> bool:
    """Whether a model needs this file."""
    if _STEP.fullmatch(name):
        return True
    if "/" in name or "\\" in name or name.startswith("."):
        return False
    return _matches(name, _WANTED) and not _matches(name, _NOT_WANTED)


def is_weights(name: str) -> bool:
    return name.endswith(".safetensors")


def checked(snapshot: Snapshot) -> Snapshot:
    """The snapshot, if it can be served.

    Raises:
        PullError: no weights in a supported format.
    """
    names = {file.name for file in snapshot.files}
    if "config.json" in names and any(map(is_weights, names)):
        return snapshot
    raise PullError(f"{snapshot.model} has no config.json with model*.safetensors weights.", ExitCode.MODEL)


def read(folder: Path) -> Snapshot | None:
    """The record in a folder; None without a readable one."""
    try:
        return msgspec.json.decode((folder / RECORD).read_bytes(), type=Snapshot)
    except (OSError, msgspec.DecodeError):
        return None


def write(folder: Path, snapshot: Snapshot) -> None:
    part = folder / f".{RECORD}"
    part.write_bytes(msgspec.json.format(msgspec.json.encode(snapshot)) + b"\n")
    part.replace(folder / RECORD)


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
