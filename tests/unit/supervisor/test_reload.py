"""Dev mode: which change restarts which process."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from src.supervisor.reload import Sources, affected_processes


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (["engine/scheduler.py"], {"engine"}),
        (["ocr/broker.py"], {"ocr"}),
        (["api/chat.py"], {"web"}),
        (["api/chat.py", "ocr/pool.py"], {"web", "ocr"}),
        (["ipc/messages/"], {"engine", "ocr", "web"}),
        (["settings/web.py"], {"engine", "ocr", "web"}),
        (["supervisor/main.py", "cli.py"], set()),
        ([], set()),
    ],
)
def test_affected_processes_of_a_change(files: list[str], names: set[str]) -> None:
    """A folder's own process; all for shared code; none for the supervisor's own."""
    assert affected_processes(Path(file) for file in files) == names


def test_changes_additions_and_removals_are_each_seen_once(tmp_path: Path) -> None:
    """Only Python files count."""
    (tmp_path / "api").mkdir()
    changed, removed = tmp_path / "api" / "chat.py", tmp_path / "gone.py"
    changed.touch()
    removed.touch()
    sources = Sources(tmp_path)
    assert sources.changed() == set()
    os.utime(changed, (1, 1))
    removed.unlink()
    (tmp_path / "new.py").touch()
    (tmp_path / "notes.txt").touch()
    assert sources.changed() == {Path("api/chat.py"), Path("gone.py"), Path("new.py")}
    assert sources.changed() == set()
