"""The archive of `run.py backup`."""

from __future__ import annotations

import sqlite3
import tarfile
from argparse import Namespace
from contextlib import closing
from pathlib import Path

import pytest

from src.api.state import files
from src.api.state.database import Database
from src.api.state.files import StoredFile
from src.commands import backup, unit
from src.errors import ExitCode
from tests.conftest import MakeSettings


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """An installation: settings, keys, logs, a model."""
    texts = {"env": "PORT=1\n", "keys": "alice 00\n", "logs/app.log": "line\n", "logs/app.log.gz.tmp": "half"}
    for name, text in (texts | {"models/m/config.json": "{}", "models/.pulling/o/m/new/config.json": "{}"}).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize("models", [False, True])
def test_the_archive_holds_what_cannot_be_made_again(place: Path, make_settings: MakeSettings, *, models: bool) -> None:
    """Settings, key digests, logs, models if asked for; nothing half written; for its owner alone."""
    settings = make_settings(api_keys_file=place / "keys", log_dir=place / "logs", models_dir=place / "models")
    target = place / "deep" / "b.tar.gz"
    backup.write(settings, target, models=models, env_file=place / "env", report=print)
    with tarfile.open(target) as archive:
        names = set(archive.getnames())
        env = archive.extractfile("stoker/env")
        assert env is not None
        assert env.read() == b"PORT=1\n"
    expected = {"stoker/env", "stoker/api_keys", "stoker/logs/app.log"}
    assert names == expected | ({"stoker/models/m/config.json"} if models else set())
    assert target.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in target.parent.iterdir()] == ["b.tar.gz"]


def test_jobs_are_in_the_archive(place: Path, make_settings: MakeSettings) -> None:
    """As of one moment: what stands in the write-ahead log of a running service is in it."""
    running = sqlite3.connect(place / "ocr-jobs.sqlite")
    running.execute("PRAGMA journal_mode = WAL")
    running.execute("CREATE TABLE jobs (id TEXT)")
    running.execute("INSERT INTO jobs VALUES ('ocr-1')")
    running.commit()
    (place / "ocr-documents").mkdir()
    (place / "ocr-documents" / "1").write_bytes(b"a document")
    backup.write(make_settings(state_dir=place), place / "b.tar.gz", models=False, report=print)
    with tarfile.open(place / "b.tar.gz") as archive:
        archive.extractall(place / "out", filter="data")
    running.close()
    restored = place / "out" / "stoker" / "state"
    with closing(sqlite3.connect(restored / "ocr-jobs.sqlite")) as copy:
        assert copy.execute("SELECT id FROM jobs").fetchall() == [("ocr-1",)]
    assert (restored / "ocr-documents" / "1").read_bytes() == b"a document"


def test_files_are_in_the_archive(place: Path, make_settings: MakeSettings) -> None:
    """Rows and blobs; an upload that is not whole is none."""
    database = Database(place)
    database.run(lambda db: files.insert(db, StoredFile("file-1", "", "batch", "a.jsonl", 2, 0)))
    database.blob("file-1").write_bytes(b"{}")
    database.blob("x.part").write_bytes(b"{")
    backup.write(make_settings(state_dir=place), place / "b.tar.gz", models=False, report=print)
    database.close()
    with tarfile.open(place / "b.tar.gz") as archive:
        kept = {name for name in archive.getnames() if "/state/" in name}
        archive.extractall(place / "out", filter="data")
    assert kept == {"stoker/state/work.sqlite", "stoker/state/files/file-1"}
    with closing(sqlite3.connect(place / "out" / "stoker" / "state" / "work.sqlite")) as copy:
        assert copy.execute("SELECT id FROM files").fetchall() == [("file-1",)]


def test_a_log_that_grows_or_shrinks_meanwhile_spoils_nothing(tmp_path: Path) -> None:
    """Tar has the size written before the bytes: exactly so many follow, whatever happens to the file."""
    path = tmp_path / "grows.log"
    for content, size in ((b"0123456789", 4), (b"01", 6)):
        path.write_bytes(content)
        with path.open("rb") as file:
            assert backup._FixedSizeReader(file, size).read(100) == (content + b"\0" * 9)[:size]


def test_the_command_says_where_and_fails_where_it_cannot(
    place: Path, make_settings: MakeSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line with the number of files; a place that cannot be written is a failure with its reason."""
    settings = make_settings(log_dir=place / "logs")
    assert backup.run(Namespace(output=place / "b.tar.gz", models=False, restore=None), settings) == ExitCode.OK
    assert str(place / "b.tar.gz") in capsys.readouterr().out
    assert (
        backup.run(Namespace(output=Path("/proc/nowhere/b.tar.gz"), models=False, restore=None), settings)
        == ExitCode.FAILURE
    )


def test_an_archive_is_put_back_and_replaces_nothing(place: Path, tmp_path: Path, make_settings: MakeSettings) -> None:
    """Each file where this installation keeps it; what exists is kept and counted; a name that climbs is skipped."""
    backup.write(
        make_settings(api_keys_file=place / "keys", log_dir=place / "logs"),
        place / "b.tar.gz",
        models=False,
        env_file=place / "env",
        report=print,
    )
    new = tmp_path / "new"
    places = {"env": new / ".env", "logs": new / "logs", "api_keys": new / "keys"}
    assert backup.restore(place / "b.tar.gz", places, print) == (3, 0)
    assert (new / ".env").read_text() == "PORT=1\n"
    assert (new / "keys").stat().st_mode & 0o777 == 0o600
    assert backup.restore(place / "b.tar.gz", places, print) == (0, 3)
    climbing = tmp_path / "climbing.tar"
    with tarfile.open(climbing, "w") as archive:
        archive.addfile(tarfile.TarInfo("stoker/logs/../../../evil"))
    assert backup.restore(climbing, places, print) == (0, 0)


def test_a_restore_over_a_broken_archive_fails(
    place: Path, make_settings: MakeSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, no traceback."""
    (place / "b.tar.gz").write_bytes(b"nonsense")
    options = Namespace(output=None, models=False, restore=place / "b.tar.gz")
    assert backup.run(options, make_settings(runtime_dir=place)) == ExitCode.FAILURE
    assert "b.tar.gz" in capsys.readouterr().err


def test_a_unit_says_where_its_service_keeps_things(tmp_path: Path, make_settings: MakeSettings) -> None:
    """Its environment files count more than its own lines, as in systemd."""
    (tmp_path / "env").write_text("LOG_DIR=/elsewhere\n")
    text = f"[Service]\nEnvironmentFile=-{tmp_path}/env\nEnvironment=LOG_DIR=/var/log/x RUNTIME_DIR={tmp_path}\n"
    found = unit.parse(text)
    assert found.values == {"LOG_DIR": "/elsewhere", "RUNTIME_DIR": str(tmp_path)}
    assert found.files == (tmp_path / "env",)
    assert found.describes(make_settings(runtime_dir=tmp_path))
