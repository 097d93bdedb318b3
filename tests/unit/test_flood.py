"""The bound on what one line of code may log."""

from __future__ import annotations

import json
import time
from pathlib import Path

from loguru import logger

from src import logs
from src.logs import Flood
from src.settings import LogSettings
from tests.unit.clock import Clock

_HERE, _THERE = ("src.here", 1), ("src.there", 2)


def test_a_loop_is_cut_and_others_are_heard() -> None:
    """One place gets its share a minute; another is not concerned; the next minute says how many were left out."""
    clock = Clock()
    flood = Flood(3, clock)
    assert [flood.admits(_HERE)[0] for _ in range(10)] == [True] * 3 + [False] * 7
    assert flood.admits(_THERE) == (True, 0)
    assert flood.dropped == 7
    clock.now += 60
    assert flood.admits(_HERE) == (True, 7)
    assert flood.admits(_HERE) == (True, 0)
    clock.now += 60
    assert flood.admits(_HERE) == (True, 0)


def test_places_that_are_quiet_are_forgotten() -> None:
    """A process that runs for months keeps no table of every line that ever logged."""
    clock = Clock()
    flood = Flood(3, clock)
    for line in range(1000):
        flood.admits(("src.x", line))
    clock.now += 60
    flood.admits(_HERE)
    assert len(flood._seen) == 1


def test_a_loop_that_logs_errors_fills_no_disk(tmp_path: Path) -> None:
    """Ten thousand errors of one line leave some hundred records in each file, and the count of the others."""
    before = logs.dropped()
    logs.configure("test", LogSettings(log_dir=tmp_path), "INFO")
    began = time.monotonic()
    for number in range(10_000):
        logger.error("this fails again: {}", number)
    assert time.monotonic() - began < 20
    for name in ("app.log", "errors.log"):
        lines = (tmp_path / name).read_text().splitlines()
        assert 300 <= len(lines) <= 600  # twice the share when a minute ends meanwhile
        assert json.loads(lines[0])["message"] == "this fails again: 0"
    assert logs.dropped() - before >= 9_400
    logger.remove()
