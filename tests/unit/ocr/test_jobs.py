"""Jobs: read page by page into the job store, resumed by the next broker, cancelled, expired, and bounded in number."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from pathlib import Path

import msgspec
import pytest

from src.errors import NotFound, Overloaded
from src.ipc.messages.base import Failed
from src.ipc.messages.ocr import OcrContents, OcrDocument, OcrInspect, OcrJob, OcrOptions, OcrRequest
from src.ocr.document_run import Source
from src.ocr.job_store import JobStore, StoreUnavailable
from src.ocr.jobs import Jobs
from src.ocr.spool import Spool
from src.ocr.state import JobClaim
from src.state.places import EARLIER_JOBS, FILE
from tests.unit.ocr.conftest import Run
from tests.unit.ocr.staff import AtOnce, Staff, result, settled

DOCUMENT = OcrDocument("request-1", b"a document", as_job="always", priority="low")


# as it was before jobs had owners
_OLD_SCHEMA = """
CREATE TABLE jobs (
    id TEXT PRIMARY KEY, state TEXT NOT NULL, format TEXT NOT NULL, created REAL NOT NULL, expires REAL NOT NULL,
    bytes INTEGER NOT NULL, total INTEGER, source BLOB NOT NULL, error BLOB);
CREATE TABLE pages (
    job TEXT NOT NULL REFERENCES jobs(id) ON DELETE CASCADE, sequence INTEGER NOT NULL, number INTEGER NOT NULL,
    failed INTEGER NOT NULL, outcome BLOB NOT NULL, PRIMARY KEY (job, number)) WITHOUT ROWID;
"""


async def started(staff: Staff) -> tuple[Staff, OcrJob, Path]:
    await staff.open()
    await staff.jobs.start()
    path = await staff.spool.put(DOCUMENT.data)
    job = await staff.jobs.create(DOCUMENT, path)
    await settled()
    return staff, job, path


def add_job(store: JobStore, name: str, owner: str, size: int) -> None:
    """An unfinished job with one page of about `size` bytes."""
    job = OcrJob(name, "queued", "text", 1.0, 2.0, 3, owner=owner)
    store.add(job, Source(name, "/nowhere", base64=False, ranges=(), options=OcrOptions(), priority="low"))
    store.add_page(name, 0, result("x" * size), 0.0)


async def contents(staff: Staff, pages: int) -> None:
    """The worker says how many pages there are."""
    staff.given[-1][1].say(OcrContents("pdf", pages))
    await settled()


async def next_page(staff: Staff) -> None:
    staff.given[-1][1].say(result("text"))
    await settled()


def test_a_job_reads_all_pages_and_is_done(run: Run) -> None:
    """Its state counts along; the pages come in order of completion; the document is deleted in the end."""

    async def story() -> None:
        staff, job, path = await started(Staff())
        assert (job.state, job.total) == ("queued", None)
        await contents(staff, 3)
        await next_page(staff)
        now = await staff.jobs.get(job.id)
        assert (now.state, now.total, now.done) == ("running", 3, 1)
        for _ in range(2):
            await next_page(staff)
        await settled()
        now = await staff.jobs.get(job.id)
        assert (now.state, now.done, now.failed) == ("done", 3, 0)
        assert [page.number for page in await staff.jobs.pages(job.id, 0, 99)] == [0, 1, 2]
        assert [page.number for page in await staff.jobs.pages(job.id, 2, 99)] == [2]
        assert not path.exists()
        await staff.jobs.close()

    run(story())


def test_a_page_that_fails_is_an_outcome_of_that_page(run: Run) -> None:
    """The job goes on, and counts it."""

    async def story() -> None:
        staff, job, _ = await started(Staff())
        await contents(staff, 2)
        staff.given[-1][1].say(Failed("invalid_document", "The page is damaged."))
        await settled()
        await next_page(staff)
        await settled()
        now = await staff.jobs.get(job.id)
        assert (now.state, now.done, now.failed) == ("done", 2, 1)
        await staff.jobs.close()

    run(story())


def test_a_document_that_cannot_be_opened_fails_the_job(run: Run) -> None:
    """With the reason, which stays to be asked for."""

    async def story() -> None:
        staff, job, path = await started(Staff())
        staff.given[-1][1].say(Failed("invalid_document", "The PDF is encrypted."))
        await settled()
        now = await staff.jobs.get(job.id)
        assert now.state == "failed"
        assert now.error is not None
        assert now.error.message == "The PDF is encrypted."
        assert not path.exists()
        await staff.jobs.close()

    run(story())


def test_the_next_broker_resumes_a_job(run: Run) -> None:
    """Pages that are done are not read again, the others are, and none is lost."""

    async def story() -> None:
        staff, job, path = await started(Staff())
        await contents(staff, 3)
        await next_page(staff)
        await staff.jobs.close()
        await staff.admission.close()
        assert path.exists()
        later = await Staff().open()
        jobs = Jobs(later.settings, later.admission, JobStore(path.parents[1]), staff.spool, thread=AtOnce())
        assert (await jobs.page_counts("1970-01-01")).unfinished  # who counts its pages goes on asking
        await jobs.start()
        await settled()
        await contents(later, 3)
        for _ in range(2):
            await next_page(later)
        await settled()
        assert (await jobs.get(job.id)).state == "done"
        assert sorted(page.number for page in await jobs.pages(job.id, 0, 99)) == [0, 1, 2]
        asked = [message for message in later.messages if isinstance(message, OcrRequest)]
        assert [message.page for message in asked] == [1, 2]
        await jobs.close()

    run(story())


def test_a_job_that_another_broker_was_sent_is_its_keys(tmp_path: Path) -> None:
    """Keys take turns at the workers, also for jobs that are resumed."""
    store = JobStore(tmp_path)
    for owner in ("alice", "bob"):
        add_job(store, owner, owner, 1)
    assert {name: source.owner for name, source in store.unfinished().items()} == {"alice": "alice", "bob": "bob"}
    store.close()


def test_a_job_is_read_by_one_of_two_brokers(run: Run) -> None:
    """Left with the other one, which shows it; when the first ends, the other goes on with what is left."""

    async def story() -> None:
        first = await Staff().open()
        folder = first.spool.path("").parent
        claims = [JobClaim(folder), JobClaim(folder)]
        second = await Staff().open()
        reading, other = (
            Jobs(one.settings, one.admission, JobStore(folder), first.spool, thread=AtOnce(), claim=claim.take)
            for one, claim in zip((first, second), claims, strict=True)
        )
        await reading.start()
        await other.start()
        job = await other.create(DOCUMENT, await first.spool.put(DOCUMENT.data))
        await asyncio.sleep(1.5)
        assert (reading.unfinished, other.unfinished, len(second.messages)) == (1, 0, 0)
        await contents(first, 2)
        await next_page(first)
        now = await other.get(job.id)
        assert (now.state, now.total, now.done) == ("running", 2, 1)
        await reading.close()
        await first.admission.close()
        claims[0].release()
        await asyncio.sleep(1.5)
        await contents(second, 2)
        await next_page(second)
        await settled()
        assert ((await other.get(job.id)).state, other.unfinished) == ("done", 0)
        assert sorted(page.number for page in await other.pages(job.id, 0, 99)) == [0, 1]
        await other.close()

    run(story())


@pytest.mark.parametrize("deleted", [False, True])
def test_a_job_is_cancelled_at_a_broker_that_does_not_read_it(run: Run, deleted: bool) -> None:
    """The one that does ends it within a second, and its document goes; also where the job was deleted at once, while
    a page of it was read: that page is nobody's."""

    async def story() -> None:
        staff, job, path = await started(Staff())
        await contents(staff, 3)
        other = Jobs(
            staff.settings, staff.admission, JobStore(path.parents[1]), staff.spool, time.time, AtOnce(), lambda: False
        )
        await other.start()
        assert (await other.cancel(job.id)).state == "cancelled"
        if deleted:
            await other.cancel(job.id)
            await next_page(staff)
            assert staff.jobs.unfinished == 1
        await asyncio.sleep(1.5)
        assert (staff.admission.waiting, path.exists(), staff.jobs.unfinished) == (0, False, 0)
        await other.close()
        await staff.jobs.close()

    run(story())


def test_documents_that_nobody_claims_are_deleted(tmp_path: Path) -> None:
    """Once they are old: another broker that shares the folder may be reading the others."""
    spool = Spool(tmp_path)
    spool.sweep(())
    for name in ("claimed", "old"):
        spool.path(name).touch()
    spool.sweep({spool.path("claimed")})
    assert spool.path("old").exists()
    spool.sweep({spool.path("claimed")}, time.time() + 4000)
    assert [path.name for path in spool.path("").iterdir()] == ["claimed"]


def test_cancel_ends_a_job_and_deletes_a_finished_one(run: Run) -> None:
    """A running job stops and stays visible as cancelled; its document goes; asked again, it is forgotten."""

    async def story() -> None:
        staff, job, path = await started(Staff())
        await contents(staff, 3)
        assert (await staff.jobs.cancel(job.id)).state == "cancelled"
        await settled()
        assert (staff.admission.waiting, path.exists(), staff.jobs.unfinished) == (0, False, 0)
        assert (await staff.jobs.cancel(job.id)).state == "cancelled"
        with pytest.raises(NotFound):
            await staff.jobs.get(job.id)
        await staff.jobs.close()

    run(story())


def test_finished_jobs_expire(run: Run) -> None:
    """After OCR_JOB_TTL they are gone, with their pages."""

    async def story() -> None:
        staff = Staff(ocr_job_ttl=100)
        now = [1000.0]
        staff.jobs._clock = lambda: now[0]
        staff, job, _ = await started(staff)
        await contents(staff, 1)
        await next_page(staff)
        await settled()
        now[0] += 99
        await asyncio.sleep(120)
        assert (await staff.jobs.get(job.id)).state == "done"
        now[0] += 2
        await asyncio.sleep(120)
        with pytest.raises(NotFound):
            await staff.jobs.get(job.id)
        await staff.jobs.close()

    run(story())


def test_the_number_of_jobs_is_limited(run: Run) -> None:
    """Beyond OCR_MAX_JOBS a new one is refused with 429."""

    async def story() -> None:
        staff, _, path = await started(Staff(ocr_max_jobs=1))
        with pytest.raises(Overloaded, match="OCR_MAX_JOBS"):
            await staff.jobs.create(DOCUMENT, path)
        await staff.jobs.close()

    run(story())


@pytest.mark.parametrize(("owners", "accepted"), [(["alice"], 5), (["alice", "bob"], 10), ([""], 10)])
def test_the_number_of_jobs_is_limited_under_concurrency(owners: list[str], accepted: int, run: Run) -> None:
    """Forty requests at once get no more jobs than one after another would: neither in all nor by key."""

    async def story() -> None:
        staff = await Staff(ocr_max_jobs=10).open()
        await staff.jobs.start()
        documents = [msgspec.structs.replace(DOCUMENT, owner=owner) for owner in owners * (40 // len(owners))]
        paths = [await staff.spool.put(b"") for _ in documents]
        created = map(staff.jobs.create, documents, paths)
        outcomes = await asyncio.gather(*created, return_exceptions=True)
        assert sum(isinstance(outcome, OcrJob) for outcome in outcomes) == accepted
        assert sum(isinstance(outcome, Overloaded) for outcome in outcomes) == 40 - accepted
        assert staff.jobs.unfinished == accepted
        await staff.jobs.close()

    run(story())


def test_a_job_waits_while_the_queue_is_full(run: Run) -> None:
    """Where a client would get 429, a job tries again."""

    async def story() -> None:
        staff = await Staff(ocr_queue_size=1).open()
        staff.submit("reading")
        await settled()
        staff.submit("waiting")
        await staff.jobs.start()
        job = await staff.jobs.create(DOCUMENT, await staff.spool.put(b""))
        await settled()
        assert (await staff.jobs.get(job.id)).state == "queued"
        await staff.answer("reading")
        await staff.answer("waiting")
        await asyncio.sleep(3)
        assert isinstance(staff.messages[-1], OcrInspect)
        await staff.jobs.close()

    run(story())


def test_a_job_is_visible_to_its_owner_only(run: Run) -> None:
    """To another key it does not exist: not its state, not its end. None asks for anybody's, as an admin may."""

    async def story() -> None:
        staff = await Staff().open()
        await staff.jobs.start()
        document = msgspec.structs.replace(DOCUMENT, owner="alice")
        job = await staff.jobs.create(document, await staff.spool.put(b""))
        for stranger in ("bob", ""):
            with pytest.raises(NotFound):
                await staff.jobs.get(job.id, stranger)
            with pytest.raises(NotFound):
                await staff.jobs.cancel(job.id, stranger)
        assert (await staff.jobs.get(job.id, None)).owner == "alice"
        assert (await staff.jobs.cancel(job.id, "alice")).state == "cancelled"
        await staff.jobs.close()

    run(story())


def test_one_key_takes_at_most_half_of_the_jobs(run: Run) -> None:
    """Who has filled its share is told so; another key still has room."""

    async def story() -> None:
        staff = await Staff(ocr_max_jobs=4).open()
        await staff.jobs.start()
        alice, bob = (msgspec.structs.replace(DOCUMENT, owner=name) for name in ("alice", "bob"))
        for _ in range(2):
            await staff.jobs.create(alice, await staff.spool.put(b""))
        with pytest.raises(Overloaded, match="2 is one key's share"):
            await staff.jobs.create(alice, await staff.spool.put(b""))
        assert (await staff.jobs.create(bob, await staff.spool.put(b""))).state == "queued"
        await staff.jobs.close()

    run(story())


def test_a_file_of_an_earlier_version_gets_owners(tmp_path: Path) -> None:
    """Its jobs are kept, belong to nobody, and new ones have owners; opening it again changes nothing."""
    old = sqlite3.connect(tmp_path / EARLIER_JOBS)
    old.executescript(_OLD_SCHEMA)
    old.execute("INSERT INTO jobs VALUES ('ocr-1', 'done', 'text', 1.0, 2.0, 3, 4, x'00', NULL)")
    old.commit()
    old.close()
    for _ in range(2):
        store = JobStore(tmp_path)
        job = store.get("ocr-1")
        assert job is not None
        assert (job.owner, job.state, job.total) == ("", "done", 4)
        assert store.count_unfinished("") == 0
        store.close()


def test_ended_jobs_of_an_earlier_version_are_counted(tmp_path: Path) -> None:
    """Their results had no size in the job's row."""
    old = sqlite3.connect(tmp_path / EARLIER_JOBS)
    old.executescript(_OLD_SCHEMA)
    old.execute("INSERT INTO jobs VALUES ('ocr-1', 'done', 'text', 1.0, 2.0, 3, 4, x'00', NULL)")
    old.execute("INSERT INTO pages VALUES ('ocr-1', 1, 0, 0, zeroblob(100000))")
    old.commit()
    old.close()
    store = JobStore(tmp_path)
    assert store.evict(110_000) == []
    assert store.evict(100_000) == ["ocr-1"]
    assert store.pages("ocr-1", 0, 9) == []
    store.close()


def test_the_owner_that_stores_the_most_loses_its_oldest_jobs(tmp_path: Path) -> None:
    """Another's job stays, and so do unfinished ones, whatever they store."""
    store = JobStore(tmp_path)
    for at, (owner, size) in enumerate([("bob", 30_000), ("alice", 30_000), ("alice", 30_000), ("alice", 90_000)]):
        add_job(store, str(at), owner, size)
    for at in range(3):
        assert store.end(str(at), "done", float(at))
    assert store.evict(90_000) == ["1"]
    assert [store.get(name) is not None for name in "0123"] == [True, False, True, True]
    store.close()


def test_jobs_without_results_are_bounded_too(tmp_path: Path) -> None:
    """Each counts what its row takes."""
    store = JobStore(tmp_path)
    for at in range(50):
        add_job(store, str(at), "alice", 0)
        assert store.end(str(at), "cancelled", float(at))
    evicted = store.evict(100_000)
    assert evicted == [str(at) for at in range(len(evicted))]
    assert 20 < len(evicted) < 40
    store.close()


def test_what_ended_jobs_store_is_limited(run: Run) -> None:
    """Beyond OCR_JOB_STORE_MB the job that ended first is gone, and the 404 names the setting."""

    async def story() -> None:
        staff = await Staff(ocr_job_store_mb=1).open()
        await staff.jobs.start()
        jobs = []
        for _ in range(3):
            jobs.append(await staff.jobs.create(DOCUMENT, await staff.spool.put(b"")))
            await settled()
            await contents(staff, 1)
            staff.given[-1][1].say(result("x" * 400_000))
            await settled()
        with pytest.raises(NotFound, match="OCR_JOB_STORE_MB"):
            await staff.jobs.get(jobs[0].id)
        assert [(await staff.jobs.get(job.id)).state for job in jobs[1:]] == ["done", "done"]
        await staff.jobs.close()

    run(story())


def test_a_full_disk_delays_a_job(run: Run) -> None:
    """A page that cannot be stored is read again when there is room; a new job is refused meanwhile."""

    async def story() -> None:
        staff, job, _ = await started(Staff())
        await contents(staff, 2)
        await next_page(staff)
        pages = "PRAGMA max_page_count = "
        staff.jobs._store._database.execute(pages + "1")  # SQLite takes what it has now for the most
        staff.given[-1][1].say(result("long " * 9999))
        await settled()
        path = await staff.spool.put(b"")
        with pytest.raises(StoreUnavailable, match="disk may be full"):
            await staff.jobs.create(msgspec.structs.replace(DOCUMENT, id="x" * 99_999), path)
        now = await staff.jobs.get(job.id)
        assert (now.state, now.done) == ("running", 1)
        staff.jobs._store._database.execute(pages + "100000")
        await asyncio.sleep(31)
        await contents(staff, 2)
        await next_page(staff)
        await settled()
        now = await staff.jobs.get(job.id)
        assert (now.state, now.done) == ("done", 2)
        await staff.jobs.close()

    run(story())


def test_a_job_store_that_cannot_be_opened_is_retried(run: Run, tmp_path: Path) -> None:
    """No disk is no damage: nothing is put aside, pages are read meanwhile, and jobs go on when it is back."""

    async def story() -> None:
        staff, _, path = await started(Staff())
        await staff.jobs.close()
        await staff.admission.close()
        file = path.parents[1] / FILE
        file.rename(tmp_path / FILE)
        file.mkdir()  # "unable to open database file"
        later = await Staff().open()
        jobs = Jobs(later.settings, later.admission, JobStore(file.parent), staff.spool, thread=AtOnce())
        await jobs.start()
        assert jobs.unfinished == 0
        assert path.exists()
        file.rmdir()
        (tmp_path / FILE).rename(file)
        await asyncio.sleep(61)
        assert jobs.unfinished == 1
        await jobs.close()

    run(story())


def test_a_damaged_job_store_is_renamed(tmp_path: Path) -> None:
    """The broker starts with an empty one, and the old file is kept for whoever wants to look."""
    (tmp_path / FILE).write_bytes(b"this is no database, and long enough to be taken for one" * 40)
    store = JobStore(tmp_path)
    assert store.unfinished() == {}
    store.close()
    assert (tmp_path / FILE).with_suffix(".damaged").exists()


def test_pages_of_jobs_are_counted_for_their_owner(tmp_path: Path) -> None:
    """Once each, by UTC day; a page that could not be read is none, and a deleted job takes nothing away."""
    store = JobStore(tmp_path)
    for name, owner in (("a", "app"), ("b", "app"), ("c", "")):
        add_job(store, name, owner, 1)  # with a page of the first day
    store.add_page("a", 1, result("x"), 90_000.0)
    store.add_page("a", 1, result("x"), 90_000.0)
    store.add_page("a", 2, Failed("invalid_document", "no"), 90_000.0)
    store.delete("a")
    assert store.page_counts("1970-01-01") == [
        ("1970-01-01", "", 1),
        ("1970-01-01", "app", 2),
        ("1970-01-02", "app", 1),
    ]
    store.forget_counts(90_000.0)
    assert store.page_counts("1970-01-01") == [("1970-01-02", "app", 1)]
    store.close()
