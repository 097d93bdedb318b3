"""One supervisor per runtime directory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from src.settings import ROOT
from src.supervisor import lock

HOLDER = """
import sys
from pathlib import Path
from src.supervisor import lock
with lock.hold(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_held_lock_is_refused_with_the_holders_pid_and_free_after_kill_9(tmp_path: Path) -> None:
    """Whoever holds it is named; a holder that is killed blocks nobody, though its file stays."""
    path = tmp_path / "lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(lock.AlreadyRunning) as refused, lock.hold(path):
            pass
        assert refused.value.pid == holder.pid
        holder.kill()
        holder.wait()
    with lock.hold(path):
        assert path.read_text() == f"{os.getpid()}\n"


def test_an_invalid_lock_file_does_not_block(tmp_path: Path) -> None:
    """Only the kernel's lock counts, not what the file says."""
    path = tmp_path / "lock"
    path.write_text("garbage" * 100)
    with lock.hold(path):
        assert path.read_text() == f"{os.getpid()}\n"


def test_touch_keeps_the_lock_file_from_cleaners(tmp_path: Path) -> None:
    """Cleaners of /tmp leave it; one that was deleted all the same is no error."""
    path = tmp_path / "lock"
    with lock.hold(path):
        os.utime(path, (0, 0))
        lock.touch(path)
        assert path.stat().st_mtime > 1e9
        path.unlink()
        lock.touch(path)


def test_a_removed_lock_file_is_locked_again(tmp_path: Path) -> None:
    """Else a second supervisor could start beside the first. One that was faster has it."""
    path = tmp_path / "lock"
    with lock.hold(path) as held:
        assert not held.lost()
        path.unlink()
        assert held.lost()
        held.retake()
        assert not held.lost()
        with pytest.raises(lock.AlreadyRunning), lock.hold(path):
            pass
        path.unlink()
        with lock.hold(path), pytest.raises(lock.AlreadyRunning):
            held.retake()
        assert held.lost()
