"""The private runtime directory: its paths, and that no other user can access them."""

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
    """The directory is unsafe or unusable; the text says why."""


def prepare(directory: Path) -> Path:
    """Create the directory with mode 0700, owned by this user.

    Raises:
        RuntimeDirError: it cannot be created, has another owner, is a link, or its path is too long for sockets.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise RuntimeDirError(f"{directory} cannot be created: {error.strerror}") from None
    try:
        check_own(directory)
    except PermissionError as error:
        raise RuntimeDirError(error.strerror) from None
    if len(os.fsencode(beside(engine_socket(directory, "x" * _MAX_NAME)))) > _MAX_SOCKET_PATH:
        raise RuntimeDirError(f"the path {directory} is too long for sockets; set RUNTIME_DIR to a shorter one")
    directory.chmod(0o700)
    return directory


def check_own(directory: Path) -> None:
    """Raise PermissionError unless it is a directory of this user and not a link."""
    info = directory.lstat()
    if not stat.S_ISDIR(info.st_mode) or info.st_uid != os.getuid():
        raise PermissionError(errno.EPERM, f"{directory} is not a directory of this user")


def control_socket(directory: Path) -> Path:
    return directory / "control.sock"


def ocr_socket(directory: Path) -> Path:
    return directory / "ocr.sock"


def standby_socket(directory: Path) -> Path:
    """Of the engine standby, until it is given a model."""
    return directory / "standby.sock"


def engine_socket(directory: Path, model: str) -> Path:
    """A model's socket: readable, of bounded length, without path separators, unique per model.

    Also on file systems that do not tell `Demo` from `demo` (APFS): a name with capitals has a digest.
    """
    plain = re.sub(r"[^A-Za-z0-9._-]", "-", model)
    if plain != model.lower() or len(plain) > _MAX_NAME:
        plain = f"{plain[-_MAX_NAME + 9 :]}-{hashlib.sha256(model.encode()).hexdigest()[:8]}"
    return directory / f"engine-{plain}.sock"


def beside(socket: Path) -> Path:
    """Where a standby listens until its socket is renamed over the old one. No model's socket contains `~`."""
    return socket.with_name(f"{socket.stem}~{socket.suffix}")


def front(socket: Path) -> Path:
    """The socket that a `beside` path takes over; other paths are returned unchanged."""
    return socket.with_name(f"{socket.stem.removesuffix('~')}{socket.suffix}")


def device_lock(directory: Path) -> Path:
    return directory / "device.lock"


def lock_file(directory: Path) -> Path:
    return directory / "supervisor.lock"
