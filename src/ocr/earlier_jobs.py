"""OCR jobs that an earlier version kept in a file of their own, in the runtime or the state directory, carried over
into STATE_DIR's file with their documents. Called by the job store when it is opened.
"""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

from loguru import logger

from src.state.file import transaction
from src.state.places import DOCUMENTS, EARLIER_JOBS

_TABLES = {"jobs": "ocr_jobs", "pages": "ocr_pages", "page_counts": "ocr_page_counts"}


def carry_over(database: sqlite3.Connection, earlier: Path, directory: Path) -> None:
    """Raises sqlite3.OperationalError or OSError when it cannot be done at the moment; then the jobs stay there."""
    file = earlier / EARLIER_JOBS
    if not file.is_file():
        return
    if earlier != directory and (earlier / DOCUMENTS).is_dir():
        shutil.copytree(earlier / DOCUMENTS, directory / DOCUMENTS, dirs_exist_ok=True)
    try:
        count = _copy(database, file)
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as error:
        logger.error("{} is damaged and its OCR jobs are lost; it is renamed: {}", file, error)
        file.rename(file.with_suffix(".damaged"))
        return
    if earlier != directory:
        shutil.rmtree(earlier / DOCUMENTS, ignore_errors=True)
    for suffix in ("", "-wal", "-shm"):
        (earlier / f"{EARLIER_JOBS}{suffix}").unlink(missing_ok=True)
    logger.info("{} OCR jobs were carried over from {} (STATE_DIR)", count, earlier)


def _copy(database: sqlite3.Connection, file: Path) -> int:
    database.execute("ATTACH ? AS earlier", (str(file),))
    try:
        with transaction(database):
            for theirs, ours in _TABLES.items():
                if not (columns := ", ".join(_columns(database, theirs))):
                    continue
                order = " ORDER BY created" if theirs == "jobs" else ""
                query = f"INSERT OR IGNORE INTO {ours} ({columns}) SELECT {columns} FROM earlier.{theirs}{order}"
                database.execute(query)
            (count,) = database.execute("SELECT COUNT(*) FROM earlier.jobs").fetchone()
    finally:
        database.execute("DETACH earlier")
    return int(count)


def _columns(database: sqlite3.Connection, table: str) -> list[str]:
    """None of a table that it has not. Jobs had no owner once, later no size, then no PDF: here they have defaults."""
    return [name for _, name, *_ in database.execute(f"PRAGMA earlier.table_info({table})")]
