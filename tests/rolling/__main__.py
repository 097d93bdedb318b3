"""`make rolling`: restart two instances behind nginx in turn under closed-loop clients and long streams, and count."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from tests.rolling.restarts import measure

_NOTICE_S = 5.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--restarts", type=int, default=10)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--streams", type=int, default=8)
    parser.add_argument("--notice", type=float, default=_NOTICE_S)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="rol-", dir="/tmp"))
    try:
        counted = measure(folder, options.restarts, options.clients, options.streams, options.notice)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{options.restarts} restarts: {counted.answered} requests and {counted.streamed} streams whole")
    print(f"failed: {counted.failed or 'none'}")
    return 1 if counted.failed else 0


if __name__ == "__main__":
    sys.exit(main())
