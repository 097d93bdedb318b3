"""Ids of what STATE_DIR keeps: they begin with a mark of the folder, so that another instance can say whose they are.

Pure. Ids made before there were marks, or on a machine whose name has changed since, are nobody's: nothing but a hint
in an error goes by a mark.
"""

from __future__ import annotations

import hashlib
import re
import socket
import uuid
from pathlib import Path

_MARKED = re.compile(r"(?:file-|batch_|conv_|ocr-)([0-9a-f]{8})[0-9a-f]{24}")


def mark_of(folder: Path) -> str:
    """Of a STATE_DIR: the same for all instances on this machine that share it."""
    return hashlib.sha256(f"{socket.gethostname()}:{folder}".encode()).hexdigest()[:8]


def new_id(prefix: str, mark: str) -> str:
    """32 hexadecimal digits behind the prefix, of which 24 are random."""
    return f"{prefix}{mark}{uuid.uuid4().hex[len(mark) :]}"


def mark_in(name: str) -> str | None:
    """The mark in an id; None of what is no id of these."""
    found = _MARKED.fullmatch(name)
    return found[1] if found else None
