"""OpenAI's Files API: the `openai` package uploads, lists, reads and deletes; bounds; owners."""

from __future__ import annotations

import stat
from pathlib import Path

import openai
import pytest

from src.api.service import EXTENSION
from tests.contract.conftest import Service, StartService

LINES = b'{"custom_id": "1"}\n' * 3


@pytest.fixture
def service(start_service: StartService) -> Service:
    return start_service(engine=False)


def upload(service: Service, data: bytes = LINES, purpose: str = "batch", **form: str) -> dict[str, object]:
    reply = service.http.post("/v1/files", files={"file": ("a.jsonl", data)}, data={"purpose": purpose, **form})
    assert reply.status_code == 200, reply.text
    made: dict[str, object] = reply.json()
    return made


def test_the_openai_package(service: Service) -> None:
    """What is sent comes back byte for byte; after its deletion there is nothing."""
    made = service.openai.files.create(file=("a.jsonl", LINES), purpose="batch")
    assert (made.bytes, made.filename, made.purpose, made.status) == (len(LINES), "a.jsonl", "batch", "processed")
    assert made.expires_at == made.created_at + 2_592_000
    assert service.openai.files.retrieve(made.id) == made
    assert service.openai.files.content(made.id).read() == LINES
    assert service.openai.files.delete(made.id).deleted
    with pytest.raises(openai.NotFoundError):
        service.openai.files.retrieve(made.id)
    assert list((service.settings.state_path / "files").iterdir()) == []


def test_expires_after_and_lists_by_page(service: Service) -> None:
    names = [str(upload(service)["id"]) for _ in range(5)]
    other = service.openai.files.create(
        file=("b", b"x"), purpose="user_data", expires_after={"anchor": "created_at", "seconds": 3600}
    )
    assert other.expires_at == other.created_at + 3600
    assert [file.id for file in service.openai.files.list(limit=2)] == [other.id, *reversed(names)]  # pages by itself
    assert [file.id for file in service.openai.files.list(purpose="batch", order="asc")] == names
    page = service.http.get("/v1/files", params={"limit": 2, "after": names[4]}).json()
    assert ([file["id"] for file in page["data"]], page["has_more"]) == ([names[3], names[2]], True)


def test_what_is_stored_is_private_and_streamed(service: Service) -> None:
    """Longer than MAX_BODY_MB (1): it is no body in memory. Modes 0600 and 0700."""
    data = LINES * 50_000 + b"x" * (1 << 20)
    made = upload(service, data, "user_data")
    path = Path(service.settings.state_path)
    assert service.http.get(f"/v1/files/{made['id']}/content").content == data
    for file in (path / "work.sqlite", path / "files" / str(made["id"])):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE((path / "files").stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("form", "param"),
    [
        ({"purpose": "assistants"}, "purpose"),
        ({}, "purpose"),
        ({"purpose": "batch", "expires_after[anchor]": "created_at", "expires_after[seconds]": "9"}, "seconds"),
        ({"purpose": "batch", "expires_after[seconds]": "3600"}, "anchor"),
    ],
)
def test_wrong_forms_are_refused_and_leave_nothing(service: Service, form: dict[str, str], param: str) -> None:
    reply = service.http.post("/v1/files", files={"file": ("a", b"x")}, data=form)
    assert reply.status_code == 400
    assert param in reply.json()["error"]["param"]
    assert list((service.settings.state_path / "files").iterdir()) == []


def test_other_bodies_are_refused(service: Service) -> None:
    assert service.http.post("/v1/files", json={}).status_code == 415
    reply = service.http.post("/v1/files", data={"purpose": "batch"}, files={"other": b"x"})
    assert reply.json()["error"]["param"] == "file"
    broken = service.http.post("/v1/files", content=b"--x", headers={"Content-Type": "multipart/form-data; boundary=x"})
    assert broken.status_code == 400


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"file_max_mb": 1}, "FILE_MAX_MB"),
        ({"files_per_key_mb": 1}, "FILES_PER_KEY_MB"),
        ({"files_mb": 1}, "FILES_MB"),
    ],
)
def test_a_file_beyond_a_bound_is_refused(start_service: StartService, settings: dict[str, int], said: str) -> None:
    service = start_service(engine=False, **settings)
    upload(service)
    reply = service.http.post("/v1/files", files={"file": b"x" * (1 << 20 | 1)}, data={"purpose": "ocr"})
    assert reply.status_code == 413
    assert said in reply.json()["error"]["message"]
    assert len(list((service.settings.state_path / "files").iterdir())) == 1


def test_the_number_of_files_is_bounded(start_service: StartService) -> None:
    service = start_service(engine=False, files_per_key=1)
    upload(service)
    reply = service.http.post("/v1/files", files={"file": b"x"}, data={"purpose": "batch"})
    assert (reply.status_code, "FILES_PER_KEY" in reply.text) == (413, True)


def test_a_file_is_its_owners_alone(start_service: StartService) -> None:
    """To another key it does not exist; an admin sees all."""
    keys = {name: f"{name}-key-{'0' * 24}" for name in ("alice", "bob", "root")}
    roles = {"alice": "user", "bob": "user", "root": "admin"}
    service = start_service(engine=False, api_keys=",".join(f"{n}:{roles[n]}:{k}" for n, k in keys.items()))

    def ask(name: str, method: str, path: str) -> int:
        return service.http.request(method, path, headers={"Authorization": f"Bearer {keys[name]}"}).status_code

    headers = {"Authorization": f"Bearer {keys['alice']}"}
    sent = service.http.post("/v1/files", files={"file": b"x"}, data={"purpose": "user_data"}, headers=headers)
    made = sent.json()["id"]
    for path in (f"/v1/files/{made}", f"/v1/files/{made}/content"):
        assert [ask(name, "GET", path) for name in ("alice", "bob", "root")] == [200, 404, 200]
    assert [ask(name, "DELETE", f"/v1/files/{made}") for name in ("bob", "alice", "alice")] == [404, 200, 404]
    assert ask("bob", "GET", f"/v1/files?after={made}") == 404


def test_a_damaged_database_costs_its_rows_not_the_service(service: Service) -> None:
    """It is put aside."""
    path = service.settings.state_path
    path.mkdir(mode=0o700)
    (path / "work.sqlite").write_bytes(b"no database at all" * 99)
    upload(service)
    assert (path / "work.damaged").exists()


def test_a_state_that_cannot_be_used_is_a_503(service: Service) -> None:
    service.settings.state_path.write_bytes(b"a file, where a folder should be")
    reply = service.http.get("/v1/files")
    assert (reply.status_code, reply.json()["error"]["code"]) == (503, "backend_unavailable")
    assert service.app.extensions[EXTENSION].state.folder == service.settings.state_path
