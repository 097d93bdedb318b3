"""What `run.py pull` shows while it fetches."""

from __future__ import annotations

import io

from src.hub.progress import PullProgress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_a_bar_that_grows() -> None:
    """Bytes of all bytes, with what earlier tries fetched counted, and a line's end when it is closed."""
    out = Terminal()
    progress = PullProgress(4_000_000_000, 1_000_000_000, out)
    progress.add(1_000_000_000)
    progress.add(2_000_000_000)
    progress.close()
    first, last = out.getvalue().split("\r")[1], out.getvalue().split("\r")[-1]
    assert " 25%" in first
    assert "1.00G/4.00G" in first
    assert "100%" in last
    assert "4.00G/4.00G" in last
    assert last.endswith("\n")


def test_bytes_that_are_thrown_away_are_taken_back() -> None:
    """A file that comes again is not counted twice."""
    out = Terminal()
    progress = PullProgress(100_000_000, 50_000_000, out)
    progress.add(-50_000_000)
    progress.close()
    assert "0.00/100M" in out.getvalue().split("\r")[-1]


def test_a_log_gets_a_line_for_each_tenth() -> None:
    """Without a terminal there is no bar."""
    out = io.StringIO()
    progress = PullProgress(4_000_000_000, 1_000_000_000, out)
    for _ in range(30):
        progress.add(100_000_000)
    progress.close()
    assert out.getvalue().splitlines()[0] == "1.2 GB of 4.0 GB"
    assert out.getvalue().splitlines()[-1] == "4.0 GB of 4.0 GB"
    assert len(out.getvalue().splitlines()) == 8
