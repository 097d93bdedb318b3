"""A newcomer's second step, with a hub on loopback: a model is pulled, made small, and served under its id."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from src.hub.place import ModelFolder
from src.settings import ROOT
from tests.running import service
from tests.unit.hub.loopback import MODEL, Repository, hub

pytestmark = pytest.mark.e2e


def test_a_model_from_a_hub_is_served_under_its_id(tmp_path: Path) -> None:
    """`run.py pull` says what to set; with that set, the service answers to the name."""
    files = {path.name: path.read_bytes() for path in (ROOT / "models" / "demo").iterdir() if path.is_file()}
    with hub(Repository(files)) as url:
        environment = os.environ | {"HF_ENDPOINT": url, "HF_HUB_OFFLINE": "0", "MODELS_DIR": str(tmp_path)}
        command = [sys.executable, "run.py", "pull", MODEL, "--quantize", "4"]
        pulled = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=100)
    assert pulled.returncode == 0, pulled.stderr
    name = pulled.stdout.partition("DEFAULT_MODEL=")[2].partition(" ")[0]
    assert name == f"{MODEL}-4bit"
    with service(models_dir=tmp_path, default_model=name, ocr_workers=0) as running:
        body = {"model": name, "messages": [{"role": "user", "content": "Where are the logs?"}], "max_tokens": 16}
        answer = httpx.post(f"{running.url}/v1/chat/completions", json=body, timeout=60).json()
        assert answer["model"] == name
        assert answer["choices"][0]["message"]["content"]
        assert httpx.get(f"{running.url}/v1/models/{name}", timeout=10).json()["id"] == name


def test_weights_are_not_exchanged_under_a_process(tmp_path: Path) -> None:
    """A new revision took the place of a model that is offloaded: what comes back is a process that read it whole."""
    place = ModelFolder(tmp_path, MODEL)
    shutil.copytree(ROOT / "models" / "demo", place.folder)
    body = {"messages": [{"role": "user", "content": "Where are the logs?"}], "max_tokens": 8, "temperature": 0}
    with service(models_dir=tmp_path, default_model=MODEL, ocr_workers=0) as running:

        def ask() -> tuple[str, int]:
            answer = httpx.post(f"{running.url}/v1/chat/completions", json=body, timeout=60)
            assert answer.status_code == 200, answer.text
            (pid,) = (child["pid"] for name, child in running.status().items() if name.startswith("engine"))
            return answer.json()["choices"][0]["message"]["content"], int(str(pid))

        def offload() -> None:
            moved = httpx.post(f"{running.url}/api/gpu/offload", json={"model_name": MODEL}, timeout=30).json()
            assert moved["models"] == {MODEL: "cpu"}

        before, pid = ask()
        offload()
        assert ask() == (before, pid)
        offload()
        with place.exclusive():
            shutil.copytree(ROOT / "models" / "demo", place.next)
            (place.next / "config.json").touch()
            place.activate()
        after, fresh = ask()
        assert after == before
        assert fresh != pid
