"""Documents over HTTP, and jobs that outlive whatever is killed: the real service with the fake recognizer."""

from __future__ import annotations

import base64
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import httpx
import psutil
import pytest

from src.ocr.fake import draw
from tests.e2e import pictures
from tests.running import Running, service
from tests.unit.ocr import files

pytestmark = pytest.mark.e2e

TEXT = "The north pier is closed\nuntil Thursday next week"


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with service(
        inference_engine="fake", ocr_engine="fake", ocr_workers=2, ocr_sync_pages=5, ocr_max_pages=200, max_body_mb=16
    ) as started:
        yield started


def post(
    running: Running, data: bytes, path: str = "/v1/ocr", headers: dict[str, str] | None = None, **fields: object
) -> httpx.Response:
    form = {name: str(value) for name, value in fields.items()}
    return httpx.post(f"{running.url}{path}", files={"file": data}, data=form, headers=headers, timeout=60)


def slow(count: int, delay: float = 0.05) -> bytes:
    """A ZIP of pages that each take a while."""
    return files.zipped({f"{at}.png": draw(f"delay={delay}; text=page {at}") for at in range(count)})


def until(condition: Callable[[], bool], timeout_s: float = 40) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def job(running: Running, name: str) -> dict[str, object]:
    found: dict[str, object] = httpx.get(f"{running.url}/v1/ocr/jobs/{name}", timeout=20).json()
    return found


def workers(running: Running) -> list[psutil.Process]:
    children = psutil.Process(running.pid("ocr")).children()
    return [child for child in children if "spawn_main" in " ".join(child.cmdline())]


def test_a_pdf_is_read_page_by_page(running: Running) -> None:
    """Pages in order; the text layer is used where it is good, the recognizer elsewhere or when forced."""
    answer = post(running, files.pdf([TEXT, ""])).json()
    assert [page["source"] for page in answer["pages"]] == ["text_layer", "ocr"]
    assert answer["pages"][0]["text"] == TEXT
    forced = post(running, files.pdf([TEXT, ""]), force_ocr="true", pages="1").json()
    assert [(page["index"], page["source"]) for page in forced["pages"]] == [(0, "ocr")]


def test_mistrals_request_is_taken(running: Running) -> None:
    """Its document chunk with a data URL and its list of pages from 0; an unknown field is named."""
    url = "data:application/pdf;base64," + base64.b64encode(files.pdf([TEXT, TEXT, TEXT])).decode()
    body = {"model": "m", "document": {"type": "document_url", "document_url": url}, "pages": [0, 2], "frobnicate": 1}
    reply = httpx.post(f"{running.url}/v1/ocr", json=body, timeout=60)
    assert [page["index"] for page in reply.json()["pages"]] == [0, 2]
    assert reply.json()["pages"][0]["markdown"] == TEXT
    assert reply.headers["X-Ignored-Fields"] == "frobnicate"


def test_pages_fail_alone(running: Running) -> None:
    """One poisonous page among good ones has its error, and the others their text."""
    answer = post(running, files.zipped({"1.png": draw("text=one"), "2.png": draw("error"), "3.png": draw("crash")}))
    good, broken, deadly = answer.json()["pages"]
    assert answer.status_code == 200
    assert (good["text"], good["error"]) == ("one", None)
    assert (broken["error"]["code"], deadly["error"]["code"]) == ("internal_error", "ocr_crashed")


def test_a_long_document_is_refused_or_becomes_a_job(running: Running) -> None:
    """Beyond OCR_SYNC_PAGES: a 413 that says what to do, or a 202 with `Prefer: respond-async`."""
    refused = post(running, slow(6))
    assert refused.status_code == 413
    assert "/v1/ocr/jobs" in refused.json()["error"]["message"]
    taken = post(running, slow(6), headers={"Prefer": "respond-async"})
    assert taken.status_code == 202
    name = taken.json()["id"]
    assert taken.headers["Location"] == f"/v1/ocr/jobs/{name}"
    until(lambda: job(running, name)["status"] == "done")
    assert post(running, slow(6), pages="2-4").status_code == 200


def test_a_job_is_watched_by_events(running: Running) -> None:
    """Each page is an event as it is done, the last one says that the job is; a broken connection goes on after it."""
    name = post(running, slow(6), "/v1/ocr/jobs").json()["id"]

    def watch(**headers: str) -> list[tuple[str, dict[str, object]]]:
        with httpx.stream("GET", f"{running.url}/v1/ocr/jobs/{name}/events", headers=headers, timeout=30) as reply:
            text = "".join(reply.iter_text())
        events = [dict(line.split(": ", 1) for line in part.split("\n")) for part in text.strip().split("\n\n")]
        return [(event["event"], json.loads(event["data"])) for event in events if "event" in event]

    told = watch()
    assert sorted(str(data["text"]) for kind, data in told if kind == "page") == [f"page {at}" for at in range(6)]
    assert told[-1][0] == "job"
    assert told[-1][1]["status"] == "done"
    assert len([kind for kind, _ in watch(**{"Last-Event-ID": "4"}) if kind == "page"]) == 2


def test_a_client_that_leaves_takes_its_document_along(running: Running) -> None:
    """Its pages leave the line, its file the spool; those being read end for nothing."""
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{running.url}/v1/ocr", files={"file": slow(5, 1.0)}, timeout=httpx.Timeout(10, read=0.4))

    def is_quiet() -> bool:
        health: Any = running.status()["ocr"]["health"]
        return (health["ocr"]["busy"], health["ocr"]["waiting"]) == (0, 0)

    until(is_quiet, 10)
    until(lambda: not list((running.folder / "state" / "ocr-documents").iterdir()), 10)


def test_a_jobs_result_comes_in_any_format(running: Running) -> None:
    """As text, or as the searchable PDF it was started for; before it is done there is none."""
    name = post(running, files.pdf([TEXT, TEXT]), "/v1/ocr/jobs", format="pdf").json()["id"]
    until(lambda: job(running, name)["status"] == "done")
    url = f"{running.url}/v1/ocr/jobs/{name}/result"
    assert httpx.get(url, timeout=20).content.startswith(b"%PDF-")
    assert httpx.get(url, params={"format": "text"}, timeout=20).text == f"{TEXT}\f{TEXT}\n"
    assert httpx.get(url, params={"format": "docx"}, timeout=20).status_code == 400
    slow_one = post(running, slow(20), "/v1/ocr/jobs").json()["id"]
    early = httpx.get(f"{running.url}/v1/ocr/jobs/{slow_one}/result", timeout=20)
    assert (early.status_code, early.json()["error"]["param"]) == (400, "id")
    httpx.delete(f"{running.url}/v1/ocr/jobs/{slow_one}", timeout=20)


def test_a_job_is_cancelled(running: Running) -> None:
    """DELETE ends it; its workers are free again."""
    name = post(running, slow(100, 0.3), "/v1/ocr/jobs").json()["id"]
    until(lambda: job(running, name)["pages_done"] != 0)
    assert httpx.delete(f"{running.url}/v1/ocr/jobs/{name}", timeout=20).json()["status"] == "cancelled"
    began = time.monotonic()
    assert post(running, draw("text=next")).json()["text"] == "next"
    assert time.monotonic() - began < 5
    assert httpx.get(f"{running.url}/v1/ocr/jobs/ocr-unknown", timeout=20).status_code == 404


def test_kill_9_loses_no_page(running: Running) -> None:
    """A worker, then the broker die in the middle of a job of a hundred pages: all of them are there in the end."""
    name = post(running, slow(100), "/v1/ocr/jobs").json()["id"]
    until(lambda: int(str(job(running, name)["pages_done"])) > 10)
    workers(running)[0].kill()
    until(lambda: int(str(job(running, name)["pages_done"])) > 30)
    os.kill(running.pid("ocr"), signal.SIGKILL)

    def is_done() -> bool:
        return job(running, name).get("status") == "done"

    until(is_done)
    result = job(running, name)["result"]
    assert isinstance(result, dict)
    assert [page["text"] for page in result["pages"]] == [f"page {at}" for at in range(100)]


BAD: dict[str, tuple[bytes, dict[str, Any], int, str]] = {
    "encrypted": (files.encrypted_pdf(), {}, 400, "encrypted"),
    "broken": (b"%PDF-1.7\nnothing of a PDF follows", {}, 400, "damaged"),
    "too many pages": (files.pdf(["x"] * 300), {}, 413, "OCR_MAX_PAGES"),
    "huge picture": (files.pdf_with_picture(60_000, 60_000), {}, 400, "OCR_MAX_IMAGE_MB"),
    "900 megapixels": (pictures.bomb(30_000), {}, 400, "OCR_MAX_IMAGE_MB"),
    "10,000 frames": (files.endless_tiff(10_000), {}, 413, "OCR_MAX_PAGES"),
    "zip bomb": (files.zipped({"1.png": draw("x") + b"\0" * (200 << 20)}), {}, 400, "expands to more than"),
    "svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", {}, 400, "not a PDF"),
    "html": (b"<!doctype html><title>a.png</title>", {}, 400, "not a PDF"),
    "polyglot": (b"GIF89a/*" + files.pdf(["x"]), {}, 400, "damaged"),
    "empty": (b"", {}, 400, "empty"),
    "backward range": (files.pdf(["x"]), {"pages": "9-2"}, 400, "ends before it begins"),
    "unknown format": (files.pdf(["x"]), {"format": "docx"}, 400, "format"),
    "unknown language": (files.pdf(["x"]), {"language": "tlh"}, 400, "does not read this language"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_a_clear_refusal(running: Running, name: str) -> None:
    """The right status and our own words; no worker dies of it, and the next page is read."""
    data, fields, status, says = BAD[name]
    before = {worker.pid for worker in workers(running)}
    reply = post(running, data, **fields)
    error = reply.json()["error"]
    assert (reply.status_code, says in error["message"]) == (status, True), error
    assert not any(word in error["message"] for word in ("0x", "Traceback", "Pdfium", "PIL"))
    assert post(running, draw("text=alive")).json()["text"] == "alive"
    assert {worker.pid for worker in workers(running)} == before


def test_a_page_of_35000_pixels_is_read(running: Running) -> None:
    """It is rendered as large as a page may be, and the answer tells the resolution."""
    page = post(running, files.pdf([TEXT], size=(16800, 16800)), force_ocr="true").json()["pages"][0]
    assert max(page["dimensions"]["width"], page["dimensions"]["height"]) <= 5000
    assert page["dimensions"]["dpi"] < 25


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8000/x.pdf",
        "https://example.com/a.pdf",
        "file:///etc/passwd",
        " FILE:///etc/passwd",
        "gopher://x/",
    ],
)
def test_nothing_is_ever_fetched(running: Running, url: str) -> None:
    """A URL that is no data URL is refused, whatever it points to."""
    body = {"document": {"type": "document_url", "document_url": url}}
    reply = httpx.post(f"{running.url}/v1/ocr", json=body, timeout=20)
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "document")


def test_memory_comes_back(running: Running) -> None:
    """After all of that the workers are about as large as they were."""
    post(running, draw("text=warm"))
    before = sum(worker.memory_info().rss for worker in workers(running))
    for name in ("huge picture", "zip bomb", "900 megapixels", "10,000 frames"):
        data, fields, _, _ = BAD[name]
        post(running, data, **fields)
    assert sum(worker.memory_info().rss for worker in workers(running)) < before + (120 << 20)


def test_jobs_outlive_the_runtime_directory() -> None:
    """A finished job and one that is being read when the directory of the sockets is removed, and when every process is
    killed with it, as at a power failure: all have results."""
    with service(inference_engine="fake", ocr_engine="fake", ocr_workers=1) as running:

        def created(picture: bytes) -> str:
            return str(post(running, picture, "/v1/ocr/jobs").json()["id"])

        def done(*names: str) -> bool:
            return all(job(running, name).get("status") == "done" for name in names)

        first = created(draw("text=hello"))
        until(lambda: done(first))
        second = created(draw("delay=3; text=hello"))
        running.remove_runtime_dir()
        until(lambda: done(first, second))
        assert job(running, second)["pages_failed"] == 0
        third = created(draw("delay=2; text=hello"))
        for process in running.processes():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        running.remove_runtime_dir()
        running.start_again()
        running.wait()
        until(lambda: done(first, second, third))
