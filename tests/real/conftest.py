"""The real model, as `make test-real` fetched it; llama.cpp over the same file; a service with it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from src.engine import loading
from src.engine.backend import Backend
from src.engine.progress import LoadMeter
from src.gpu import blas
from src.settings import ROOT, Settings
from tests.real.fetch import MODEL_FILE
from tests.running import Running, service

blas.preload()  # before a test imports MLX: only the first BLAS that is loaded counts

FOLDER = Path(os.environ.get("STOKER_TEST_REAL") or "/nonexistent")

_READY_S = 300.0  # converted, loaded, warmed up, on a busy machine

Ask = Callable[[str, dict[str, Any]], Any]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without the model nothing here can be run."""
    if not (FOLDER / MODEL_FILE).is_file():
        skip = pytest.mark.skip(reason="NO REAL MODEL: `make test-real` fetches it from the package index")
        for item in items:
            if "tests/real/" in item.nodeid:
                item.add_marker(skip)


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of models with the GGUF file in it."""
    folder = tmp_path_factory.mktemp("models")
    (folder / "smollm2.gguf").symlink_to((FOLDER / MODEL_FILE).resolve())
    return folder


@pytest.fixture(scope="session")
def settings(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(
        _env_file=None,
        models_dir=models,
        state_dir=tmp_path_factory.mktemp("state"),
        inference_engine="mlx",
        max_num_seqs=16,
    )


@pytest.fixture(scope="session")
def backend(settings: Settings) -> Iterator[Backend]:
    loaded = loading.load("smollm2.gguf", settings, LoadMeter())
    yield loaded
    loaded.close()


@pytest.fixture(scope="session")
def llama(models: Path) -> Iterator[Ask]:
    """POST to llama.cpp's server over the same file."""
    with llama_server(models / "smollm2.gguf") as ask:
        yield ask


@contextmanager
def llama_server(file: Path) -> Iterator[Ask]:
    """POST to llama.cpp's server over a file."""
    if not (FOLDER / "llama" / "xllamacpp").is_dir():
        pytest.skip("NO LLAMA.CPP: its wheel was not fetched for this platform")
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.real.llama", str(file)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str((FOLDER / "llama").resolve())},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    url = next(line for line in process.stdout if line.startswith("http")).strip().rstrip("/")

    # one client: each makes a TLS context, which takes longer than most answers
    with httpx2.Client(base_url=url, timeout=120, trust_env=False) as client:

        def ask(path: str, body: dict[str, Any]) -> Any:
            response = client.post(path, json=body)
            assert response.status_code == 200, response.text
            return response.json()

        yield ask
    process.communicate(timeout=30)


@pytest.fixture(scope="session")
def real(models: Path) -> Iterator[Running]:
    """The service with the real model."""
    chosen: dict[str, Any] = {"models_dir": models, "default_model": "smollm2.gguf", "inference_engine": "mlx"}
    with service(ready=None, ocr_workers=0, max_num_seqs=16, **chosen) as running:
        running.wait(timeout_s=_READY_S)
        yield running
