"""The runtime directory: private, ours, and short enough for a socket."""

from __future__ import annotations

import os
import re
import socket
import stat
from pathlib import Path

import pytest

from src.ipc import runtime
from src.ipc.runtime import RuntimeDirError


def test_it_is_made_private(runtime_dir: Path) -> None:
    """Nobody but this user may look inside."""
    made = runtime.prepare(runtime_dir / "new" / "run")
    assert stat.S_IMODE(made.stat().st_mode) == 0o700


def test_an_open_folder_is_closed(runtime_dir: Path) -> None:
    """A folder of ours that others could read is made private."""
    runtime_dir.chmod(0o777)
    assert stat.S_IMODE(runtime.prepare(runtime_dir).stat().st_mode) == 0o700


def test_a_link_is_refused(runtime_dir: Path) -> None:
    """A link that somebody else put there could lead our sockets anywhere."""
    target = runtime_dir / "target"
    target.mkdir(mode=0o755)
    link = runtime_dir / "link"
    link.symlink_to(target)
    with pytest.raises(RuntimeDirError, match="not a directory of this user"):
        runtime.prepare(link)
    assert stat.S_IMODE(target.stat().st_mode) == 0o755


def test_a_folder_of_somebody_else_is_refused(runtime_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that another user made first is not trusted."""
    owner = runtime_dir.stat().st_uid
    monkeypatch.setattr(os, "getuid", lambda: owner + 1)
    with pytest.raises(RuntimeDirError, match="not a directory of this user"):
        runtime.prepare(runtime_dir)


def test_a_file_in_its_place_is_refused(runtime_dir: Path) -> None:
    """What is no directory is reported in words."""
    (runtime_dir / "file").touch()
    with pytest.raises(RuntimeDirError, match="cannot be created"):
        runtime.prepare(runtime_dir / "file")


def test_a_path_too_long_for_a_socket_is_refused(runtime_dir: Path) -> None:
    """The start says so, instead of a bind failing later on macOS."""
    with pytest.raises(RuntimeDirError, match="RUNTIME_DIR"):
        runtime.prepare(runtime_dir / ("x" * 90))


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("demo", "engine-demo.sock"),
        ("mlx-community/Qwen3-4B", "engine-mlx-community-Qwen3-4B-"),
        ("../../etc/passwd", "engine-..-..-etc-passwd-"),
        ("模型", "engine----"),
        ("x" * 200, f"engine-{'x' * 31}-"),
    ],
)
def test_an_engines_socket(model: str, name: str, runtime_dir: Path) -> None:
    """Any model name gives a readable, bounded file name inside the folder."""
    path = runtime.engine_socket(runtime_dir, model)
    assert path.parent == runtime_dir
    assert path.name.startswith(name)
    assert re.fullmatch(r"engine-[A-Za-z0-9._-]{1,40}\.sock", path.name)


def test_names_that_differ_in_case_have_sockets_that_differ_in_more(runtime_dir: Path) -> None:
    """APFS takes `Demo` and `demo` for one file."""
    models = ["demo", "Demo", "DEMO", "Org/Demo", "org/demo", "X" * 60, "x" * 60]
    assert len({str(runtime.engine_socket(runtime_dir, model)).casefold() for model in models}) == len(models)


def test_the_longest_name_can_be_bound(runtime_dir: Path) -> None:
    """What `prepare` lets through really works as a socket."""
    folder = runtime.prepare(runtime_dir / ("x" * (49 - len(str(runtime_dir)) - 1)))
    path = runtime.beside(runtime.engine_socket(folder, "y" * 60))
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
        assert path.exists()


def test_places_are_distinct(runtime_dir: Path) -> None:
    """No two things share a file."""
    places = {
        runtime.control_socket(runtime_dir),
        runtime.ocr_socket(runtime_dir),
        runtime.engine_socket(runtime_dir, "ocr"),
        runtime.engine_socket(runtime_dir, "control"),
        runtime.engine_socket(runtime_dir, "a/b"),
        runtime.engine_socket(runtime_dir, "a-b"),
        runtime.engine_socket(runtime_dir, "a" * 50 + "b" * 40),
        runtime.engine_socket(runtime_dir, "c" * 50 + "b" * 40),
        runtime.lock_file(runtime_dir),
    }
    assert len(places) == 9
