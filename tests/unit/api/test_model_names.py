"""A model's name in a request: the catalogue alone says what it may be, and no path is looked at because of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from src.api.app import create_app
from tests.conftest import MakeSettings

_TURNS = [{"role": "user", "content": "hi"}]
# each route that takes a model, and what it needs beside the name
POSTS: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": _TURNS},
    "/v1/completions": {"prompt": "hi"},
    "/v1/responses": {"input": "hi"},
    "/v1/messages": {"messages": _TURNS, "max_tokens": 4},
    "/v1/messages/count_tokens": {"messages": _TURNS},
    "/v1/embeddings": {"input": "hi"},
    "/tokenize": {"prompt": "hi"},
    "/detokenize": {"tokens": [1]},
    "/v1/models/load": {},
    "/v1/models/unload": {},
    "/api/gpu/offload": {},
    "/api/gpu/release": {},
}
UNKNOWN = (
    "nosuch",
    "~nosuchuser",
    "~",
    "/",
    "//",
    "/.",
    ".",
    "..",
    "../demo",
    "demo/",
    "./demo",
    "a" * 255,
    "a/" * 200,
)
MALFORMED = ("a" * 513, "a\nb", "a\0b", "\u202e", "a" * 100_000)


@pytest.fixture
def client(make_settings: MakeSettings, tmp_path: Path) -> FlaskClient:
    """A service with one model. Whatever reaches an engine would be a 503: there is none."""
    (tmp_path / "models" / "mine").mkdir(parents=True)
    (tmp_path / "models" / "mine" / "config.json").write_text('{"model_type": "qwen3"}')
    settings = make_settings(models_dir=tmp_path / "models", default_model="mine", resume_max_wait=0)
    return create_app(settings).test_client()


def ask(client: FlaskClient, path: str, name: str) -> tuple[int, str]:
    field = "model_name" if path.startswith(("/v1/models", "/api")) else "model"
    reply = client.post(path, json={**POSTS[path], field: name})
    return reply.status_code, reply.json["error"]["code"] if reply.json else ""


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize("name", UNKNOWN)
def test_what_the_catalogue_has_not_is_not_found(client: FlaskClient, path: str, name: str) -> None:
    assert ask(client, path, name) == (404, "model_not_found")


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize("name", MALFORMED, ids=lambda name: f"{name[:3]!a}-{len(name)}")
def test_what_can_be_no_name_is_malformed(client: FlaskClient, path: str, name: str) -> None:
    assert ask(client, path, name) == (400, "invalid_value")


@pytest.mark.parametrize("path", POSTS)
def test_a_path_is_no_name(client: FlaskClient, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that could be a model elsewhere on the disk is not found, and nothing in it is opened."""
    secret = tmp_path / "elsewhere"
    secret.mkdir()
    (secret / "config.json").write_text('{"a":' * 100_000)
    opened: list[str] = []

    def read_text(self: Path, encoding: str | None = None) -> str:
        opened.append(str(self))
        return self.read_bytes().decode(encoding or "utf-8")

    monkeypatch.setattr(Path, "read_text", read_text)
    assert ask(client, path, str(secret)) == (404, "model_not_found")
    assert [file for file in opened if "elsewhere" in file] == []


def test_a_path_that_is_joined_carelessly_lists_the_models(client: FlaskClient) -> None:
    """Clients put a slash behind a base URL, or two."""
    names = [client.get(path).json for path in ("/v1/models", "/v1/models/", "/v1/models//")]
    assert names[1] == names[0] == names[2]


@pytest.mark.parametrize("name", ["nosuch", "~nosuchuser", "~", "%00", "a%0Ab", "%ff", "%E5%AD%97"])
def test_a_name_in_the_path(client: FlaskClient, name: str) -> None:
    assert client.get(f"/v1/models/{name}").status_code in (400, 404)


def test_a_folder_that_the_settings_name(make_settings: MakeSettings, tmp_path: Path) -> None:
    """DEFAULT_MODEL may be a path: then that path is a name, and no other way to write it is."""
    folder = tmp_path / "my model"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "qwen3"}')
    client = create_app(make_settings(default_model=str(folder), resume_max_wait=0)).test_client()
    assert client.get(f"/v1/models/{folder}").json["id"] == str(folder)  # type: ignore[index]
    assert client.get(f"/v1/models/{folder.parent}/./{folder.name}").status_code == 404
