"""Names in STATE_DIR; also read by `run.py backup`, which brings neither gevent nor a worker."""

from __future__ import annotations

FILE = "work.sqlite"
BLOBS = "files"
DOCUMENTS = "ocr-documents"
PARTIAL = ".part"  # of an upload that is not whole yet
LOCK = "batches.lock"
OPEN = "work.lock"  # shared by the processes that have FILE open
EARLIER_JOBS = "ocr-jobs.sqlite"  # where OCR jobs were kept before they moved into FILE
