"""The log rotator: its plan, and its actions on files."""

from __future__ import annotations

import errno
import gzip
import os
import shutil
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from loguru import logger

from src.settings import LogSettings
from src.supervisor.janitor import Action, Janitor, RotatedLog, plan

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC).timestamp()
TODAY = date(2026, 3, 10)
DAY = 86400.0
SETTINGS = LogSettings.model_validate({"log_max_mb": 1, "log_retention_days": 30})


def decide(name: str, *, size: int = 10, age_s: float = 0, began: date = TODAY) -> list[Action]:
    return list(plan([RotatedLog(name, size, NOON - age_s, began)], NOON, SETTINGS))


@pytest.mark.parametrize(
    ("name", "size", "age_s", "began", "expected"),
    [
        ("app.log", 10, 0, TODAY, None),
        ("app.log", 1 << 20, 0, TODAY, "rotate"),
        ("app.log", 10, 0, date(2026, 3, 9), "rotate"),
        ("app.log", 0, 5 * DAY, date(2026, 3, 5), None),
        ("app.20260310T115930.log", 10, 30, TODAY, None),
        ("app.20260310T115800.log", 10, 120, TODAY, "compress"),
        ("app.20260310T115800.2.log", 10, 120, TODAY, "compress"),
        ("app.20260301T000000.log.gz", 10, 9 * DAY, TODAY, None),
        ("errors.20260201T000000.log.gz", 10, 31 * DAY, TODAY, "delete"),
        ("app.20260310T110000.log.gz.tmp", 10, 120, TODAY, None),
        ("app.20260301T110000.log.gz.tmp", 10, 2 * DAY, TODAY, "delete"),
        ("launchd.err", 10, 9 * DAY, TODAY, None),
        ("launchd.err", 1 << 20, 0, TODAY, "empty"),
        ("launchd.20260310T115800.log", 10, 120, TODAY, "compress"),
        ("other.log", 1 << 30, 99 * DAY, date(2020, 1, 1), None),
        ("app.20260201T000000.log.bak", 10, 99 * DAY, TODAY, None),
        ("application.20260201T000000.log.gz", 10, 99 * DAY, TODAY, None),
        ("notes.txt", 10, 99 * DAY, TODAY, None),
    ],
)
def test_the_plan_for_a_log_file(name: str, size: int, age_s: float, began: date, expected: str | None) -> None:
    """Full or yesterday's: renamed; a minute later: compressed; a month later: deleted; other names: never touched."""
    assert [action.do for action in decide(name, size=size, age_s=age_s, began=began)] == (
        [expected] if expected else []
    )


def test_the_file_that_launchd_holds_is_emptied(tmp_path: Path) -> None:
    """Whoever appends to it goes on at its beginning; what was there is kept like a rotated log."""
    path = tmp_path / "launchd.err"
    with path.open("ab", buffering=0) as writer:
        writer.write(b"x" * (1 << 20))
        Janitor(tmp_path, SETTINGS, Clock()).tidy()
        writer.write(b"after")
    assert path.read_bytes() == b"after"
    (kept,) = tmp_path.glob("launchd.2026*.log")
    assert kept.stat().st_size == 1 << 20


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> float:
        return self.now


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def write(path: Path, text: str, modified: float) -> None:
    path.write_text(text)
    os.utime(path, (modified, modified))


def test_a_log_file_is_rotated_compressed_and_deleted(tmp_path: Path) -> None:
    """Renamed, compressed a minute later with nothing lost, deleted after the retention time; a foreign file stays."""
    clock = Clock()
    tidy = Janitor(tmp_path, SETTINGS, clock).tidy
    text = "x" * (1 << 20)
    write(tmp_path / "app.log", text, NOON)
    write(tmp_path / "mine.log", text, NOON - 99 * DAY)
    tidy()
    assert names(tmp_path) == ["app.20260310T120000.log", "mine.log"]
    clock.now += 59
    tidy()
    assert names(tmp_path) == ["app.20260310T120000.log", "mine.log"]
    clock.now += 2
    tidy()
    packed = tmp_path / "app.20260310T120000.log.gz"
    assert names(tmp_path) == [packed.name, "mine.log"]
    assert gzip.decompress(packed.read_bytes()).decode() == text
    assert packed.stat().st_mode & 0o777 == 0o640
    clock.now = NOON + 30 * DAY
    tidy()
    assert names(tmp_path) == ["mine.log"]


def test_the_first_record_dates_a_file(tmp_path: Path) -> None:
    """A file written to today, whose first record is of yesterday, is yesterday's."""
    write(tmp_path / "app.log", '{"ts": "2026-03-09T23:59:59.000+00:00"}\n{"ts": "2026-03-10T12:00:00"}\n', NOON)
    write(tmp_path / "errors.log", '{"ts": "2026-03-10T00:00:01.000+00:00"}\n', NOON)
    Janitor(tmp_path, SETTINGS, Clock()).tidy()
    assert names(tmp_path) == ["app.20260310T120000.log", "errors.log"]


def test_two_rotations_in_one_second_keep_both(tmp_path: Path) -> None:
    """A name that is taken, also by a compressed file, gets a number."""
    tidy = Janitor(tmp_path, SETTINGS, Clock()).tidy
    for _ in range(3):
        write(tmp_path / "app.log", "x" * (1 << 20), NOON)
        tidy()
    assert names(tmp_path) == [f"app.20260310T120000{number}.log" for number in (".1", ".2", "")]


def test_a_full_disk_is_logged_once_and_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No exception, no half-written file, the log kept, one line about it; once there is room, the work is done."""
    write(tmp_path / "app.20260310T110000.log", "text", NOON - 3600)
    tidy = Janitor(tmp_path, SETTINGS, Clock()).tidy

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    said: list[str] = []
    sink = logger.add(lambda line: said.append(str(line)), level="ERROR")
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "copyfileobj", full)
        tidy()
        tidy()
    logger.remove(sink)
    assert names(tmp_path) == ["app.20260310T110000.log"]
    assert len(said) == 1
    assert "No space left" in said[0]
    tidy()
    assert names(tmp_path) == ["app.20260310T110000.log.gz"]


def test_a_missing_folder_and_links_are_ignored(tmp_path: Path) -> None:
    """The folder may not exist yet; a link of our name is not followed."""
    Janitor(tmp_path / "none", SETTINGS, Clock()).tidy()
    write(tmp_path / "target", "x" * (1 << 20), NOON)
    (tmp_path / "app.log").symlink_to(tmp_path / "target")
    Janitor(tmp_path, SETTINGS, Clock()).tidy()
    assert names(tmp_path) == ["app.log", "target"]


def test_log_total_mb_bounds_all_files() -> None:
    """When rotated files exceed LOG_TOTAL_MB, the oldest go, and none of them is compressed as well."""
    settings = LogSettings.model_validate({"log_total_mb": 3})
    names = [f"api_requests.2026031{day}T000000.log" for day in range(5)]
    files = [RotatedLog(name, 1 << 20, NOON - 500 + at, TODAY) for at, name in enumerate(names)]
    others = [RotatedLog("app.log", 1 << 30, NOON, TODAY), RotatedLog("notes.txt", 1 << 40, NOON, TODAY)]
    left = [Action("compress", name) for name in names[2:]]
    actions = list(plan([*others, *files], NOON, settings))
    assert actions == [Action("delete", names[0]), Action("delete", names[1]), Action("rotate", "app.log"), *left]
