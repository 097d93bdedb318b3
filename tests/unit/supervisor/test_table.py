"""`run.py status`, as text."""

from __future__ import annotations

import pytest

from src.ipc.messages import ChildStatus, EngineLoad, Health, MemoryReading, OcrLoad, SystemStatus
from src.supervisor.table import duration, render, size


def test_the_table_shows_each_process() -> None:
    """State, pid, uptime, restarts by reason, load, memory and the reason of a failure."""
    engine = Health("ready", 11, MemoryReading(1), load=EngineLoad(3, 4, 0.1, 1, 1))
    ocr = Health("ready", 12, MemoryReading(1), ocr=OcrLoad(2, 1, 5, 2, 9, 0, 0))
    status = SystemStatus(
        "0.1.0",
        10,
        7384.0,
        (
            ChildStatus("engine", "ready", 11, 65.0, {"signal": 1, "exit": 2}, health=engine),
            ChildStatus("ocr", "ready", 12, 5.0, {}, health=ocr),
            ChildStatus("web", "failed", None, None, {}, detail="exit code 1 FAILURE"),
        ),
    )
    assert render(status, {11: 1_500_000_000, 12: 87_000_000}.get).splitlines() == [
        "stoker 0.1.0, supervisor pid 10, up 2 h 3 min",
        "",
        "PROCESS  STATE   PID  UPTIME     RESTARTS              RUNNING  WAITING  MEMORY  DETAIL",
        "engine   ready   11   1 min 5 s  3 (exit 2, signal 1)  3        4        1.5 GB",
        "ocr      ready   12   5.0 s      0                     1        5        87 MB",
        "web      failed  -    -          0                     -        -        -       exit code 1 FAILURE",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (59.9, "59.9 s"),
        (60, "1 min 0 s"),
        (3700, "1 h 1 min"),
        (90000, "1 d 1 h"),
        (1e7, "115 d 17 h"),
    ],
)
def test_durations_read_well(seconds: float, text: str) -> None:
    """Two units at most."""
    assert duration(seconds) == text


def test_unknown_sizes_are_said_to_be_so() -> None:
    """Never an invented 0."""
    assert size(None) == "-"
