"""One log file: the disk may be full, the folder gone; the service is not to be bothered."""

from __future__ import annotations

import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from src.logs import LogFile
from tests.unit.clock import Clock


@contextmanager
def small_files() -> Iterator[None]:
    """No file of this process may grow beyond 100 bytes: what a full disk does, in small.

    For a block, not for a whole test: pytest's own report may be a file.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full")
def test_a_full_disk_is_said_once_a_minute(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A thousand lines that cannot be written are one line on the console, and are counted."""
    (tmp_path / "app.log").symlink_to("/dev/full")
    clock = Clock()
    file = LogFile(tmp_path / "app.log", clock)
    for _ in range(1000):
        file.write("line\n")
        clock.now += 0.01
    assert file.lost == 1000
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "No space left on device" in said
    clock.now += 60
    file.write("line\n")
    assert "1001 lines were lost" in capsys.readouterr().err
    file.stop()


def test_room_that_comes_back_is_used(tmp_path: Path) -> None:
    """A line that was torn spoils itself alone."""
    path = tmp_path / "app.log"
    file = LogFile(path, Clock())
    with small_files():
        for number in range(4):
            file.write(f"{number}" * 39 + "\n")
    assert file.lost == 2
    file.write("after\n")
    assert path.read_text().splitlines() == ["0" * 39, "1" * 39, "2" * 20, "after"]
    file.stop()


def test_a_folder_that_is_gone_comes_back(tmp_path: Path) -> None:
    """Someone deletes the logs, folder and all: no line is lost by it."""
    folder = tmp_path / "logs"
    file = LogFile(folder / "app.log")
    (folder / "app.log").unlink()
    folder.rmdir()
    file.write("kept\n")
    assert (folder / "app.log").read_text() == "kept\n"
    assert file.lost == 0
    file.stop()
