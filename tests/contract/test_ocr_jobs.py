"""The list of OCR jobs: read from STATE_DIR, where the broker writes them; each key's own, an admin's all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from src.ipc.messages.base import Failed
from src.ipc.messages.ocr import OcrJob, OcrOptions
from src.ocr.document_run import Source
from src.ocr.job_store import JobStore
from tests.contract.conftest import Service, StartService

KEYS = {name: f"{name}-key-{'0' * 24}" for name in ("alice", "bob", "root")}


@pytest.fixture
def owned(start_service: StartService) -> Service:
    return start_service(
        api_keys=",".join(f"{name}:{'admin' if name == 'root' else 'user'}:{KEYS[name]}" for name in KEYS)
    )


@pytest.fixture
def store(owned: Service) -> Iterator[JobStore]:
    """The broker's, with four jobs: alice's first is half read, her last has failed."""
    made = JobStore(Path(owned.settings.state_path))
    for name, owner in (("ocr-1", "alice"), ("ocr-2", "bob"), ("ocr-3", "alice"), ("ocr-4", "alice")):
        source = Source(name, "/nowhere", base64=False, ranges=(), options=OcrOptions(), priority="low")
        made.add(OcrJob(name, "queued", "text", 100.0, 9e9, 3, owner=owner), source)
    made.begin("ocr-1", 4)
    for number in range(2):
        made.add_page("ocr-1", number, Failed("invalid_document", "The page is damaged."), 0.0)
    made.end("ocr-4", "failed", 9e9, Failed("invalid_document", "The PDF is encrypted."))
    yield made
    made.close()


def listed(service: Service, key: str, query: str = "") -> Any:
    answer = service.http.get(f"/v1/ocr/jobs{query}", headers={"Authorization": f"Bearer {KEYS[key]}"})
    return answer.json() if answer.status_code == 200 else (answer.status_code, answer.json()["error"]["param"])


@pytest.mark.usefixtures("store")
def test_each_key_sees_its_own_and_an_admin_all(owned: Service) -> None:
    """Newest first, with progress and time left, and without pages."""
    ids = {key: [job["id"] for job in listed(owned, key)["data"]] for key in KEYS}
    assert ids == {"alice": ["ocr-4", "ocr-3", "ocr-1"], "bob": ["ocr-2"], "root": ["ocr-4", "ocr-3", "ocr-2", "ocr-1"]}
    failed, queued, running = listed(owned, "alice")["data"]
    assert (failed["status"], failed["error"]["message"]) == ("failed", "The PDF is encrypted.")
    assert (queued["status"], queued["pages_total"], queued["eta_seconds"]) == ("queued", None, None)
    assert (running["status"], running["pages_total"], running["pages_done"], running["pages_failed"]) == (
        "running",
        4,
        2,
        2,
    )
    assert running["eta_seconds"] > 0
    assert running["result"] is None


@pytest.mark.usefixtures("store")
def test_it_comes_by_page(owned: Service) -> None:
    first = listed(owned, "alice", "?limit=2")
    assert ([job["id"] for job in first["data"]], first["has_more"]) == (["ocr-4", "ocr-3"], True)
    second = listed(owned, "alice", f"?limit=2&after={first['last_id']}")
    assert ([job["id"] for job in second["data"]], second["has_more"]) == (["ocr-1"], False)
    assert [job["id"] for job in listed(owned, "alice", "?order=asc")["data"]] == ["ocr-1", "ocr-3", "ocr-4"]
    assert listed(owned, "alice", "?after=ocr-2") == (404, "after")
    assert listed(owned, "alice", "?limit=101") == (400, "limit")
