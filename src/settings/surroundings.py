"""What else the environment tells this process, and what libraries read there."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

SUPERVISED = "STOKER_SUPERVISED"
WEB_FD = "STOKER_WEB_FD"
_BLAS_CORE = "OPENBLAS_CORETYPE"
_FIRST_FD = 3  # where systemd puts the sockets it hands over


def work_offline() -> None:
    """Keep this process's Hugging Face libraries off the network: what they need lies in a folder."""
    os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", TOKENIZERS_PARALLELISM="false")


def supervised() -> bool:
    """Whether the supervisor started this process: it sets `SUPERVISED` for its children."""
    return SUPERVISED in os.environ


def gevent_environment(platform: str = sys.platform) -> list[str]:
    """What gevent must know before its loop starts, as `NAME=value`.

    libev takes select on macOS, which fails beyond 1,024 descriptors; web may have twice WORKER_CONNECTIONS.
    """
    return ["GEVENT_BACKEND=kqueue"] if platform == "darwin" and "GEVENT_BACKEND" not in os.environ else []


def notify_socket() -> str | None:
    """systemd's notification socket, if it started us."""
    return os.environ.get("NOTIFY_SOCKET")


def listen_fd() -> int | None:
    """The listening socket that a systemd socket unit handed to this process."""
    if os.environ.get("LISTEN_PID") == str(os.getpid()) and os.environ.get("LISTEN_FDS", "0") != "0":
        return _FIRST_FD
    return None


def cuda_visible_devices() -> str | None:
    """What the operator has left of the NVIDIA GPUs for this process, if anything."""
    return os.environ.get("CUDA_VISIBLE_DEVICES")


def web_fd() -> int | None:
    """The same socket, as the supervisor hands it to web."""
    value = os.environ.get(WEB_FD, "")
    return int(value) if value.isdigit() else None


def chosen_blas_core() -> str | None:
    """The processor that the operator has OpenBLAS compute for, whichever it runs on."""
    return os.environ.get(_BLAS_CORE)


@contextmanager
def blas_core(name: str) -> Iterator[None]:
    """An OpenBLAS that is loaded within computes for this processor; no process that is started later is told so."""
    os.environ[_BLAS_CORE] = name
    try:
        yield
    finally:
        del os.environ[_BLAS_CORE]
