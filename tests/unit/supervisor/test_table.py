"""`run.py status`, as text."""

from __future__ import annotations

import pytest

from src.ipc.messages.status import (
    ChildStatus,
    EngineLoad,
    Health,
    LoadProgress,
    MemoryReading,
    ModelInfo,
    ModelStatus,
    OcrLoad,
    SystemStatus,
)
from src.supervisor import preflight
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
            ChildStatus("engine:b", "ready", 13, 5.0, {"gpu": 8}, fallback="cpu"),
            ChildStatus("ocr", "ready", 12, 5.0, {}, health=ocr),
            ChildStatus("web", "failed", None, None, {}, detail="exit code 1 FAILURE"),
        ),
        models=(
            ModelStatus("demo", "gpu", "engine:demo", 14_000_000, running=2, waiting=1, pinned=True),
            ModelStatus("big", "loading", "engine:big", 4_000_000_000, progress=LoadProgress(10**9, 4 * 10**9, 3.0)),
            ModelStatus("old", "cpu", "engine:old", 80_000_000, idle_s=61.0),
            ModelStatus("bad", "failed", "engine:bad", detail="config.json is damaged"),
        ),
    )
    assert render(status, {11: 1_500_000_000, 12: 87_000_000}.get).splitlines() == [
        "stoker 0.1.0, supervisor pid 10, up 2 h 3 min",
        "",
        "PROCESS   STATE   PID  UPTIME     RESTARTS              RUNNING  WAITING  MEMORY  DETAIL",
        "engine    ready   11   1 min 5 s  3 (exit 2, signal 1)  3        4        1.5 GB",
        "engine:b  ready   13   5.0 s      8 (gpu 8)             -        -        -       on the cpu after GPU faults",
        "ocr       ready   12   5.0 s      0                     1        5        87 MB",
        "web       failed  -    -          0                     -        -        -       exit code 1 FAILURE",
        "",
        "MODEL          STATE    SIZE    RUNNING  WAITING  IDLE       DETAIL",
        "demo (pinned)  gpu      14 MB   2        1        -",
        "big            loading  4.0 GB  0        0        -          1.0 GB of 4.0 GB, 3.0 s, about 9.0 s left",
        "old            cpu      80 MB   0        0        1 min 1 s",
        "bad            failed   -       0        0        -          config.json is damaged",
    ]


def test_a_model_whose_batch_is_wrong_says_so() -> None:
    """Its requests are computed one by one: whoever wonders why it is slow finds it here."""
    why = "a batch changes log-probabilities by 0.190 (at most 0.01 is rounding)"
    model = ModelInfo("odd", 2048, batches=False, batch_problem=why)
    engine = Health("ready", 11, MemoryReading(1), load=EngineLoad(0, 0, 0.1, 1, 1), model=model)
    status = SystemStatus("0.1.0", 10, 1.0, (ChildStatus("engine", "ready", 11, 1.0, {}, health=engine),))
    assert f"one request at a time: {why}" in render(status, lambda _: None)
    (finding,) = preflight._batches(status)
    assert finding.value == f"odd: one request at a time ({why})"
    assert [each.value for each in preflight._batches(None)] == ["checked when a model loads; none is loaded"]


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
def test_durations(seconds: float, text: str) -> None:
    """Two units at most."""
    assert duration(seconds) == text


def test_unknown_sizes_are_a_dash() -> None:
    """Never 0."""
    assert size(None) == "-"
