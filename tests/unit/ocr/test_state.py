"""The state directory: private, one broker's, and filled from the runtime directory of an earlier version."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from src.ipc.messages.ocr import OcrJob, OcrOptions
from src.ocr import state
from src.ocr.document_run import Source
from src.ocr.job_store import FILE, JobStore
from src.ocr.jobs import Jobs
from src.ocr.spool import FOLDER, Spool
from tests.unit.ocr.conftest import Run
from tests.unit.ocr.staff import AtOnce, Staff, settled


def earlier_job(folder: Path) -> JobStore:
    """An unfinished job with its document, in a store that is still open: its write-ahead log is not empty."""
    (folder / FOLDER).mkdir(parents=True)
    (folder / FOLDER / "document").write_bytes(b"a document")
    store = JobStore(folder)
    source = Source(
        "1", str(folder / FOLDER / "document"), base64=False, ranges=(), options=OcrOptions(), priority="low"
    )
    store.add(OcrJob("ocr-1", "queued", "text", 1.0, 9e9, 10, owner="alice"), source)
    return store


def test_it_is_private(tmp_path: Path) -> None:
    """Mode 0700, also where it was open before."""
    (tmp_path / "state").mkdir(mode=0o755)
    with state.hold(tmp_path / "state", tmp_path / "run") as directory:
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_a_second_broker_is_refused(tmp_path: Path) -> None:
    """Two would delete each other's documents; once the first has ended, the next may have it."""
    with state.hold(tmp_path, tmp_path), pytest.raises(state.StateDirInUse, match="STATE_DIR"):
        state.hold(tmp_path, tmp_path).__enter__()
    with state.hold(tmp_path, tmp_path):
        pass


def test_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(state.StateDirError, match="STATE_DIR"):
        state.hold(tmp_path / "link", tmp_path).__enter__()


def test_jobs_of_an_earlier_version_are_moved_and_go_on(tmp_path: Path, run: Run) -> None:
    """With their documents, whose paths the store still has as they were."""
    left = earlier_job(tmp_path / "run")

    async def story() -> None:
        with state.hold(tmp_path / "state", tmp_path / "run") as directory:
            assert list((tmp_path / "run").iterdir()) == []
            assert stat.S_IMODE((directory / FILE).stat().st_mode) == 0o600
            staff = await Staff().open()
            spool = Spool(directory, AtOnce())
            jobs = Jobs(staff.settings, staff.admission, JobStore(directory), spool, thread=AtOnce())
            await jobs.start()
            await settled()
            assert (await jobs.get("ocr-1")).owner == "alice"
            assert [message.path for message in staff.messages] == [str(directory / FOLDER / "document")]
            await jobs.close()

    run(story())
    left.close()
    assert (tmp_path / "state" / FOLDER / "document").read_bytes() == b"a document"


def test_jobs_that_cannot_be_moved_stay(tmp_path: Path) -> None:
    """A damaged file is no reason not to start."""
    (tmp_path / FILE).write_bytes(b"garbage" * 999)
    with state.hold(tmp_path / "state", tmp_path) as directory:
        assert not (directory / FILE).exists()
    assert (tmp_path / FILE).exists()
