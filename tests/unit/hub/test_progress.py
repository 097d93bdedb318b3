"""What `run.py pull` draws."""

from __future__ import annotations

import io

from src.hub.progress import Progress
from tests.unit.clock import Clock


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_one_bar_that_grows() -> None:
    """Bytes, speed and what is left, ten times a second at most; a line's end when it is whole."""
    clock, out = Clock(), Terminal()
    progress = Progress(4_000_000_000, 1_000_000_000, clock, out)
    clock.now += 10
    progress.add(1_000_000_000)
    progress.add(1)
    clock.now += 10
    progress.add(1_999_999_999)
    bars = out.getvalue().split("\r\033[K")[1:]
    assert bars == [
        "█" * 15 + "·" * 15 + " 2.0 GB of 4.0 GB, 100 MB/s, 20.0 s left",
        "█" * 30 + " 4.0 GB of 4.0 GB\n",
    ]


def test_bytes_that_are_thrown_away_are_taken_back() -> None:
    """A file that comes again is not counted twice, and no speed below nothing is shown."""
    clock, out = Clock(), Terminal()
    progress = Progress(100_000_000, 50_000_000, clock, out)
    clock.now += 1
    progress.add(-50_000_000)
    assert out.getvalue().endswith("·" * 30 + " 0 MB of 100 MB")
    progress.close()
    assert out.getvalue().endswith(" 0 MB of 100 MB\n")
