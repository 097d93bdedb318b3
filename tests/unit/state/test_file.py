"""STATE_DIR's file: its migrations and their checksums, its permissions, two processes at it, damage."""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from src.state import file, migrations
from src.state.migrations import SchemaConflict
from src.state.places import FILE
from src.state.schema import MIGRATIONS

_SCRIPTS = ("CREATE TABLE a (x); CREATE TABLE b (x);", "CREATE TABLE c (x);")


@pytest.fixture
def database() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as connection:
        yield connection


def tables(connection: sqlite3.Connection) -> set[str]:
    return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def test_migrations_are_applied_once(database: sqlite3.Connection) -> None:
    migrations.apply(database, _SCRIPTS[:1])
    assert tables(database) == {"a", "b", "migrations"}
    for _ in range(2):
        migrations.apply(database, _SCRIPTS)
    assert tables(database) == {"a", "b", "c", "migrations"}
    assert migrations.check(database, _SCRIPTS) == 2


def test_a_file_from_before_checksums_gets_them(database: sqlite3.Connection) -> None:
    database.executescript(_SCRIPTS[0] + "PRAGMA user_version = 1;")
    migrations.apply(database, _SCRIPTS)
    found = database.execute("SELECT checksum FROM migrations ORDER BY number").fetchall()
    assert [checksum for (checksum,) in found] == [migrations.checksum(script) for script in _SCRIPTS]


def test_how_a_migration_is_broken_into_lines_does_not_matter() -> None:
    assert migrations.checksum("CREATE  TABLE\n a (x);") == migrations.checksum("CREATE TABLE a (x);")
    assert migrations.checksum("CREATE TABLE a (x);") != migrations.checksum("CREATE TABLE a (y);")


@pytest.mark.parametrize(
    ("known", "message"),
    [
        (("CREATE TABLE a (y);", _SCRIPTS[1]), "Migration 1 .* is not the one"),
        (_SCRIPTS[:1], "version 2, and this version of the service knows 1: update the service"),
    ],
)
def test_a_changed_or_unknown_migration_is_refused(
    known: tuple[str, ...], message: str, database: sqlite3.Connection
) -> None:
    """And nothing is touched."""
    migrations.apply(database, _SCRIPTS)
    before = list(database.iterdump())
    for refuse in (migrations.check, migrations.apply):
        with pytest.raises(SchemaConflict, match=message):
            refuse(database, known)
    assert list(database.iterdump()) == before


def test_a_migration_that_fails_changes_nothing(database: sqlite3.Connection) -> None:
    with pytest.raises(sqlite3.OperationalError):
        migrations.apply(database, (_SCRIPTS[0], "CREATE TABLE d (x); CREATE TABLE a (x);"))
    assert tables(database) == set()


def test_a_newer_file_stays_as_it_is(tmp_path: Path) -> None:
    file.open_file(tmp_path).close()
    assert file.conflict(tmp_path) is None
    with closing(sqlite3.connect(tmp_path / FILE)) as newer:
        newer.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
        newer.commit()
    before = (tmp_path / FILE).read_bytes()
    with pytest.raises(SchemaConflict, match="update the service"):
        file.open_file(tmp_path)
    assert "update the service" in str(file.conflict(tmp_path))
    assert (tmp_path / FILE).read_bytes() == before
    assert not list(tmp_path.glob("*.damaged"))


def test_it_is_its_users_alone(tmp_path: Path) -> None:
    """Also what SQLite puts beside it, and where it was open to others before."""
    (tmp_path / "state").mkdir(mode=0o755)
    with closing(file.open_file(tmp_path / "state")):
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "state").iterdir()}
    assert {FILE, f"{FILE}-wal", f"{FILE}-shm"} <= set(modes)
    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700


def test_a_damaged_file_is_renamed_unless_another_has_it_open(tmp_path: Path) -> None:
    first = file.open_file(tmp_path)
    first.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    (tmp_path / FILE).write_bytes(b"this is no database" * 100)
    with pytest.raises(sqlite3.OperationalError, match="another process has it open"):
        file.open_file(tmp_path)
    assert not (tmp_path / "work.damaged").exists()
    first.close()
    with closing(file.open_file(tmp_path)) as renewed:
        assert "ocr_jobs" in tables(renewed)
        file.open_file(tmp_path).close()
    assert (tmp_path / "work.damaged").read_bytes().startswith(b"this is no database")


def test_a_transaction_is_all_or_nothing(tmp_path: Path) -> None:
    with closing(file.open_file(tmp_path)) as database, closing(file.open_file(tmp_path)) as other:
        with pytest.raises(sqlite3.IntegrityError), file.transaction(database):
            database.executemany("INSERT INTO response_chunks VALUES (?, 1, x'', x'')", [("a",), ("b",), ("a",)])
        with file.transaction(other):
            assert other.execute("SELECT COUNT(*) FROM response_chunks").fetchone() == (0,)
