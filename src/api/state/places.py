"""Names in STATE_DIR of what the web process keeps; also read by `run.py backup`, which brings no gevent."""

from __future__ import annotations

FILE = "work.sqlite"
BLOBS = "files"
PARTIAL = ".part"  # of an upload that is not whole yet
LOCK = "batches.lock"
