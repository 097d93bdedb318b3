"""The state directory: private, one broker's jobs at a time, and those of earlier versions are carried over into its
file."""

from __future__ import annotations

import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from src.ipc.messages.ocr import OcrJob, OcrOptions
from src.ocr import state
from src.ocr.document_run import Source
from src.ocr.job_store import JobStore, StoreUnavailable
from src.ocr.jobs import Jobs
from src.ocr.spool import Spool
from src.state.places import DOCUMENTS, EARLIER_JOBS, FILE
from tests.unit.ocr.conftest import Run
from tests.unit.ocr.staff import AtOnce, Staff, result, settled

# as an earlier version wrote it
_SCHEMA = """
CREATE TABLE jobs (
    id TEXT PRIMARY KEY, state TEXT NOT NULL, format TEXT NOT NULL, created REAL NOT NULL, expires REAL NOT NULL,
    bytes INTEGER NOT NULL, total INTEGER, source BLOB NOT NULL, error BLOB, owner TEXT NOT NULL DEFAULT '',
    stored_bytes INTEGER NOT NULL DEFAULT 0, pdf BLOB);
CREATE TABLE pages (
    job TEXT NOT NULL REFERENCES jobs(id) ON DELETE CASCADE, sequence INTEGER NOT NULL, number INTEGER NOT NULL,
    failed INTEGER NOT NULL, outcome BLOB NOT NULL, PRIMARY KEY (job, number)) WITHOUT ROWID;
"""


def earlier_job(folder: Path, scratch: Path) -> sqlite3.Connection:
    """An unfinished job with its document and a page, in a file that is still open, with a write-ahead log."""
    (folder / DOCUMENTS).mkdir(parents=True)
    (folder / DOCUMENTS / "document").write_bytes(b"a document")
    path = str(folder / DOCUMENTS / "document")
    store = JobStore(scratch)
    source = Source("1", path, base64=False, ranges=(), options=OcrOptions(), priority="low")
    store.add(OcrJob("ocr-1", "queued", "text", 1.0, 9e9, 10, owner="alice"), source)
    store.add_page("ocr-1", 0, result("one"), 0.0)
    store.close()
    earlier = sqlite3.connect(folder / EARLIER_JOBS)
    earlier.executescript("PRAGMA journal_mode = WAL;" + _SCHEMA)
    earlier.execute("ATTACH ? AS s", (str(scratch / FILE),))
    earlier.execute(
        "INSERT INTO jobs SELECT id, state, format, created, expires, bytes, total, source, error, owner, stored_bytes,"
        " pdf FROM s.ocr_jobs"
    )
    earlier.execute("INSERT INTO pages SELECT * FROM s.ocr_pages")
    earlier.commit()
    earlier.execute("DETACH s")
    return earlier


def test_it_is_private(tmp_path: Path) -> None:
    """Mode 0700, also where it was open before."""
    (tmp_path / "state").mkdir(mode=0o755)
    assert stat.S_IMODE(state.opened(tmp_path / "state").stat().st_mode) == 0o700


def test_one_broker_reads_the_jobs(tmp_path: Path) -> None:
    """Once it has ended, the next one that asks does."""
    first, second = state.JobClaim(tmp_path), state.JobClaim(tmp_path)
    assert (first.take(), second.take(), first.take()) == (True, False, True)
    first.release()
    assert (second.take(), first.take()) == (True, False)
    second.release()


def test_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(state.StateDirError, match="STATE_DIR"):
        state.opened(tmp_path / "link")


@pytest.mark.parametrize("place", ["run", "state"])
def test_jobs_of_an_earlier_version_are_carried_over_and_go_on(place: str, tmp_path: Path, run: Run) -> None:
    """From the runtime directory or from a file of their own, with documents, whose paths are stored as they were."""
    left = earlier_job(tmp_path / place, tmp_path / "scratch")

    async def story() -> None:
        directory = state.opened(tmp_path / "state")
        staff = await Staff().open()
        spool = Spool(directory, AtOnce())
        store = JobStore(directory, tmp_path / "run")
        jobs = Jobs(staff.settings, staff.admission, store, spool, thread=AtOnce())
        await jobs.start()
        await settled()
        assert (await jobs.get("ocr-1")).owner == "alice"
        assert [page.number for page in await jobs.pages("ocr-1", 0, 9)] == [0]
        assert [message.path for message in staff.messages] == [str(directory / DOCUMENTS / "document")]
        await jobs.close()

    run(story())
    left.close()
    assert (tmp_path / "state" / DOCUMENTS / "document").read_bytes() == b"a document"
    assert not (tmp_path / place / EARLIER_JOBS).exists()
    assert stat.S_IMODE((tmp_path / "state" / FILE).stat().st_mode) == 0o600


def test_a_damaged_file_of_an_earlier_version_is_renamed(tmp_path: Path) -> None:
    """It is no reason not to start, and kept for whoever wants to look."""
    (tmp_path / EARLIER_JOBS).write_bytes(b"garbage" * 999)
    store = JobStore(tmp_path / "state", tmp_path)
    assert store.unfinished() == {}
    store.close()
    assert (tmp_path / EARLIER_JOBS).with_suffix(".damaged").exists()


def test_a_file_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    """What a client is told, too: no disk is full."""
    JobStore(tmp_path).unfinished()
    with closing(sqlite3.connect(tmp_path / FILE)) as newer:
        newer.execute("PRAGMA user_version = 99")
        newer.commit()
    with pytest.raises(StoreUnavailable, match="update the service"):
        JobStore(tmp_path).unfinished()
