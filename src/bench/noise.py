"""One core of this machine kept busy, as other programs do: `run.py bench --noise` and `make bench-chat`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# it ends with its parent, whatever becomes of that
_SPIN = "import os\nparent = os.getppid()\nwhile os.getppid() == parent:\n    sum(range(100_000))\n"


@contextmanager
def busy_core() -> Iterator[None]:
    """While the block runs, one process computes."""
    process = subprocess.Popen([sys.executable, "-c", _SPIN], stdin=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.kill()
        process.wait()
