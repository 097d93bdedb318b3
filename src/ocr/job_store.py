"""OCR jobs and their pages: rows in STATE_DIR's file, so that jobs survive a restart. Brokers alone write them.

All methods block and run on one thread (the executor of `jobs`). Times are Unix time, passed in.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from loguru import logger

from src.errors import BackendUnavailable
from src.ipc.messages.base import Failed, Priority
from src.ipc.messages.ocr import JobState, OcrJob, OcrOptions, OcrPage, OcrResult
from src.ocr import earlier_jobs
from src.ocr.document_run import Source
from src.state import ids
from src.state.file import open_file, transaction
from src.state.migrations import SchemaConflict
from src.state.ocr_rows import SELECT, job_of

_RETRY_S = 30.0
_COUNT_PAGE = """
INSERT INTO ocr_page_counts SELECT ?, owner, 1 FROM ocr_jobs WHERE id = ?
ON CONFLICT (day, owner) DO UPDATE SET pages = pages + 1
"""
ENDED: tuple[JobState, ...] = ("done", "failed", "cancelled")
# what a job takes on disk beside its pages, about: so a bound on bytes is one on the number of jobs too
_JOB_BYTES = 4096
_END = """
UPDATE ocr_jobs SET state = ?, expires = ?, error = ?
WHERE id = ? AND state IN ('queued', 'running')
"""
_MEASURE = """
UPDATE ocr_jobs SET stored_bytes =
    ? + LENGTH(source) + IFNULL(LENGTH(pdf), 0) +
    (SELECT IFNULL(SUM(LENGTH(outcome)), 0) FROM ocr_pages WHERE job = ocr_jobs.id)
WHERE state NOT IN ('queued', 'running')
"""
_SHARES = "SELECT owner, SUM(stored_bytes) FROM ocr_jobs WHERE state NOT IN ('queued', 'running') GROUP BY owner"
_ENDED_FIRST = """
SELECT id, stored_bytes FROM ocr_jobs WHERE owner = ? AND state NOT IN ('queued', 'running')
ORDER BY expires, seq LIMIT 1
"""
_outcome: msgspec.msgpack.Decoder[OcrResult | Failed] = msgspec.msgpack.Decoder(OcrResult | Failed)


class StoreUnavailable(Exception):
    """Jobs cannot be read or written at the moment; the text is for the client."""

    @classmethod
    def because(cls, error: sqlite3.Error | OSError) -> StoreUnavailable:
        logger.error("OCR jobs cannot be read or written: {} (STATE_DIR)", error)
        text = "OCR jobs cannot be read or written at the moment; the disk may be full."
        return cls(str(error) if isinstance(error, SchemaConflict) else text)

    def failure(self) -> Failed:
        return Failed.of(BackendUnavailable(str(self), retry_after_s=_RETRY_S))


class _StoredSource(msgspec.Struct, frozen=True):
    """A `Source` as stored in its row, beside its owner."""

    id: str
    path: str
    base64: bool
    ranges: tuple[tuple[int, int], ...]
    options: OcrOptions
    priority: Priority


class JobStore:
    """Opened on first use. `earlier`: the runtime directory, where jobs were kept once."""

    def __init__(self, folder: Path, earlier: Path | None = None) -> None:
        self._folder, self._earlier = folder, earlier
        self._mark = ids.mark_of(folder)
        self._open_database: sqlite3.Connection | None = None

    # ---- a job

    def new_id(self) -> str:
        return ids.new_id("ocr-", self._mark)

    def add(self, job: OcrJob, source: Source) -> None:
        stored = _StoredSource(source.id, source.path, source.base64, source.ranges, source.options, source.priority)
        row = (job.id, job.state, job.format, job.created, job.expires, job.bytes, job.total, job.owner)
        with self._transaction() as database:
            database.execute(
                "INSERT INTO ocr_jobs (id, state, format, created, expires, bytes, total, owner, source)"
                " VALUES (?,?,?,?,?,?,?,?,?)",
                (*row, msgspec.msgpack.encode(stored)),
            )

    def get(self, job: str) -> OcrJob | None:
        row = self._database.execute(f"{SELECT} WHERE id = ?", (job,)).fetchone()
        return None if row is None else job_of(*row)

    def begin(self, job: str, total: int) -> None:
        """Mark it as running, unless it was cancelled meanwhile."""
        with self._transaction() as database:
            database.execute(
                "UPDATE ocr_jobs SET state = 'running', total = ? WHERE id = ? AND state IN ('queued', 'running')",
                (total, job),
            )

    def end(self, job: str, state: JobState, expires: float, error: Failed | None = None) -> bool:
        """Mark it as ended; False if it had ended before."""
        blob = None if error is None else msgspec.msgpack.encode(error)
        with self._transaction() as database:
            done = database.execute(_END, (state, expires, blob, job))
            database.execute(_MEASURE + " AND id = ?", (_JOB_BYTES, job))
        return done.rowcount > 0

    def delete(self, job: str) -> None:
        with self._transaction() as database:
            database.execute("DELETE FROM ocr_jobs WHERE id = ?", (job,))

    def add_pdf(self, job: str, pdf: bytes) -> None:
        """Store the document that was made searchable."""
        with self._transaction() as database:
            database.execute("UPDATE ocr_jobs SET pdf = ? WHERE id = ?", (pdf, job))

    def pdf(self, job: str) -> bytes:
        row = self._database.execute("SELECT pdf FROM ocr_jobs WHERE id = ?", (job,)).fetchone()
        return bytes(row[0]) if row and row[0] else b""

    # ---- its pages

    def add_page(self, job: str, number: int, outcome: OcrResult | Failed, now: float) -> None:
        """Store a page's outcome, unless it has one or the job is gone; one that was read is counted for its owner."""
        blob, failed = msgspec.msgpack.encode(outcome), isinstance(outcome, Failed)
        with self._transaction() as database:
            added = database.execute(
                "INSERT OR IGNORE INTO ocr_pages"
                " SELECT id, (SELECT IFNULL(MAX(sequence), 0) + 1 FROM ocr_pages WHERE job = id), ?, ?, ?"
                " FROM ocr_jobs WHERE id = ?",
                (number, failed, blob, job),
            )
            if added.rowcount and not failed:
                database.execute(_COUNT_PAGE, (_day(now), job))

    def page_counts(self, since: str) -> list[tuple[str, str, int]]:
        """Day, owner and pages, from that day on."""
        query = "SELECT day, owner, pages FROM ocr_page_counts WHERE day >= ? ORDER BY day, owner"
        with self._transaction() as database:
            return [(day, owner, pages) for day, owner, pages in database.execute(query, (since,))]

    def forget_counts(self, before: float) -> None:
        with self._transaction() as database:
            database.execute("DELETE FROM ocr_page_counts WHERE day < ?", (_day(before),))

    def numbers(self, job: str) -> set[int]:
        """The numbers of finished pages."""
        return {number for (number,) in self._database.execute("SELECT number FROM ocr_pages WHERE job = ?", (job,))}

    def pages(self, job: str, after: int, count: int) -> list[OcrPage]:
        """In order of completion."""
        rows = self._database.execute(
            "SELECT number, outcome, sequence FROM ocr_pages WHERE job = ? AND sequence > ? ORDER BY sequence LIMIT ?",
            (job, after, count),
        )
        return [OcrPage(number, _outcome.decode(blob), sequence) for number, blob, sequence in rows]

    # ---- all jobs

    def unfinished(self) -> dict[str, Source]:
        """Oldest first."""
        query = "SELECT id, source, owner FROM ocr_jobs WHERE state IN ('queued', 'running') ORDER BY created"
        return {job: _source(blob, owner) for job, blob, owner in self._database.execute(query)}

    def count_unfinished(self, owner: str | None = None) -> int:
        """None: of all owners."""
        query = "SELECT COUNT(*) FROM ocr_jobs WHERE owner = IFNULL(?, owner) AND state IN ('queued', 'running')"
        (count,) = self._database.execute(query, (owner,)).fetchone()
        return int(count)

    def cancelled(self, jobs: Sequence[str]) -> list[str]:
        """Those among these, also where they have been deleted since."""
        query = f"SELECT id FROM ocr_jobs WHERE state != 'cancelled' AND id IN ({','.join('?' * len(jobs))})"
        others = {job for (job,) in self._database.execute(query, tuple(jobs))}
        return [job for job in jobs if job not in others]

    def expired(self, now: float) -> list[str]:
        rows = self._database.execute("SELECT id FROM ocr_jobs WHERE expires <= ?", (now,))
        return [job for (job,) in rows]

    def evict(self, max_bytes: int) -> list[str]:
        """Delete ended jobs until the rest fit: the owner that stores the most loses what ended first."""
        evicted: list[str] = []
        with self._transaction() as database:
            shares = dict(database.execute(_SHARES).fetchall())
            while sum(shares.values()) > max_bytes:
                owner = max(shares, key=shares.__getitem__)
                job, size = database.execute(_ENDED_FIRST, (owner,)).fetchone()
                database.execute("DELETE FROM ocr_jobs WHERE id = ?", (job,))
                shares[owner] -= size
                evicted.append(job)
        return evicted

    def close(self) -> None:
        if self._open_database is not None:
            self._open_database.close()
            self._open_database = None

    @property
    def _database(self) -> sqlite3.Connection:
        if self._open_database is None:
            self._open_database = self._open()
        return self._open_database

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Raises StoreUnavailable, and then nothing was changed."""
        database = self._database
        try:
            with transaction(database):
                yield database
        except sqlite3.OperationalError as error:
            raise StoreUnavailable.because(error) from None

    def _open(self) -> sqlite3.Connection:
        try:
            database = open_file(self._folder)
            try:
                for folder in filter(None, (self._earlier, self._folder)):
                    earlier_jobs.carry_over(database, folder, self._folder)
                with transaction(database):
                    database.execute(_MEASURE + " AND stored_bytes = 0", (_JOB_BYTES,))
            except BaseException:
                database.close()
                raise
        except (sqlite3.Error, OSError) as error:
            raise StoreUnavailable.because(error) from None
        return database


def _source(blob: bytes, owner: str) -> Source:
    stored = msgspec.msgpack.decode(blob, type=_StoredSource)
    return Source(stored.id, stored.path, stored.base64, stored.ranges, stored.options, stored.priority, owner)


def _day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")
