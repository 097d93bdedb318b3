"""What all tests share: settings that no developer's machine can change, a short folder for sockets, a tiny model."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from src.settings import Settings

# importing src.api.app loads the settings: neither a developer's `.env` nor their shell may decide a test
Settings.model_config["env_file"] = None
for _name in [key for key in os.environ if key.lower() in Settings.model_fields]:
    del os.environ[_name]
# random weights seldom end an answer by themselves: where a test names no length, it is not the whole context
os.environ["DEFAULT_MAX_TOKENS"] = "1024"

MakeSettings = Callable[..., Settings]


@pytest.fixture
def runtime_dir() -> Iterator[Path]:
    """A folder for sockets. pytest's own have paths that are too long for one."""
    folder = Path(tempfile.mkdtemp(prefix="st-", dir="/tmp"))  # made 0700 by mkdtemp
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def make_settings(runtime_dir: Path, tmp_path: Path) -> MakeSettings:
    """Settings as the defaults say, but for the given changes; sockets and logs go to folders of this test."""

    def make(**changes: Any) -> Settings:
        return Settings(
            _env_file=None,
            **{
                "runtime_dir": runtime_dir,
                "log_dir": tmp_path / "logs",
                "state_dir": tmp_path / "state",
                "resume_max_wait": 0.2,
                **changes,
            },
        )

    return make


@pytest.fixture(scope="session")
def random_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of the demo's architecture with random weights and a real tokenizer."""
    from src.gpu import blas

    blas.preload()  # before anything imports MLX
    from training.demo.checkpoint import write_random_checkpoint

    folder = tmp_path_factory.mktemp("models") / "random"
    write_random_checkpoint(folder)
    return folder
