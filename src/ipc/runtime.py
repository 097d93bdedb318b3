"""The private runtime directory: where its sockets are, and that nobody else can reach them."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
from pathlib import Path

# macOS gives sun_path 104 bytes, the final NUL included
_MAX_SOCKET_PATH = 103
_MAX_NAME = 40


class RuntimeDirError(Exception):
    """The directory cannot be trusted or used; the text says why."""


def prepare(directory: Path) -> Path:
    """Make the directory, 0700 and ours.

    Raises:
        RuntimeDirError: when it cannot be made, belongs to someone else, is a link, or is too long a path for a socket.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise RuntimeDirError(f"{directory} cannot be made: {error.strerror}") from None
    try:
        check_own(directory)
    except PermissionError as error:
        raise RuntimeDirError(error.strerror) from None
    if len(os.fsencode(beside(engine_socket(directory, "x" * _MAX_NAME)))) > _MAX_SOCKET_PATH:
        raise RuntimeDirError(f"{directory} is too long a path for sockets; set RUNTIME_DIR to a shorter one")
    directory.chmod(0o700)
    return directory


def check_own(directory: Path) -> None:
    """Raise PermissionError for what is no directory of this user, or a link to one."""
    info = directory.lstat()
    if not stat.S_ISDIR(info.st_mode) or info.st_uid != os.getuid():
        raise PermissionError(errno.EPERM, f"{directory} is not a directory of this user")


def control_socket(directory: Path) -> Path:
    return directory / "control.sock"


def ocr_socket(directory: Path) -> Path:
    return directory / "ocr.sock"


def engine_socket(directory: Path, model: str) -> Path:
    """A model's socket: readable, bounded, free of path separators, and no other model's."""
    plain = re.sub(r"[^A-Za-z0-9._-]", "-", model)
    if plain != model or len(plain) > _MAX_NAME:
        plain = f"{plain[-_MAX_NAME + 9 :]}-{hashlib.sha256(model.encode()).hexdigest()[:8]}"
    return directory / f"engine-{plain}.sock"


def beside(socket: Path) -> Path:
    """Where the successor of a process listens until it is renamed over its socket. `~` is in no model's socket."""
    return socket.with_name(f"{socket.stem}~{socket.suffix}")


def front(socket: Path) -> Path:
    """The socket that `beside` belongs to; any other is its own."""
    return socket.with_name(f"{socket.stem.removesuffix('~')}{socket.suffix}")


def device_lease(directory: Path) -> Path:
    return directory / "device.lease"


def lock_file(directory: Path) -> Path:
    return directory / "supervisor.lock"
