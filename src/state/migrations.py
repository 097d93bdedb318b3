"""Migrations of a SQLite file: each is applied once, in one transaction with the checksum of its text.

`check` compares what a file has had with what this version knows, and writes nothing. Called when the file is opened,
in whichever process opens it first, and by `run.py check` and `doctor`.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Sequence

_TABLE = "CREATE TABLE IF NOT EXISTS migrations (number INTEGER PRIMARY KEY, checksum TEXT NOT NULL)"


class SchemaConflict(sqlite3.OperationalError):
    """The file has had other migrations than this version knows. It is not damaged, and was not changed."""


def checksum(script: str) -> str:
    """Of its words: how it is broken into lines does not matter."""
    return hashlib.sha256(" ".join(script.split()).encode()).hexdigest()


def check(connection: sqlite3.Connection, scripts: Sequence[str]) -> int:
    """How many the file has had. Raises SchemaConflict."""
    (count,) = connection.execute("PRAGMA user_version").fetchone()
    if count > len(scripts):
        text = f"The state's schema is version {count}, and this version of the service knows {len(scripts)}"
        raise SchemaConflict(f"{text}: update the service, or restore a backup (STATE_DIR).")
    for number, found in _recorded(connection):
        if number > count or found != checksum(scripts[number - 1]):
            text = f"Migration {number} of the state's schema is not the one this version of the service knows"
            raise SchemaConflict(f"{text}: use the version that wrote it, or restore a backup (STATE_DIR).")
    return int(count)


def _recorded(connection: sqlite3.Connection) -> list[tuple[int, str]]:
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'migrations'").fetchone():
        return []  # empty, or from before checksums were recorded
    return connection.execute("SELECT number, checksum FROM migrations ORDER BY number").fetchall()


def apply(connection: sqlite3.Connection, scripts: Sequence[str]) -> None:
    """Those that are missing, in one transaction: another process may open the file too. Raises SchemaConflict."""
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        count = check(connection, scripts)
        for script in scripts[count:]:
            for statement in script.split(";"):
                connection.execute(statement)
        connection.execute(_TABLE)
        rows = [(number, checksum(script)) for number, script in enumerate(scripts, 1)]
        connection.executemany("INSERT OR IGNORE INTO migrations (number, checksum) VALUES (?,?)", rows)
        connection.execute(f"PRAGMA user_version = {len(scripts)}")
