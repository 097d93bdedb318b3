"""What prompts begin with survives the engine, and the whole service: on disk, once PREFIX_CACHE_DIR says where."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from src.engine.mlx.prefix.blockfile import BLOCK
from tests.running import Running, service

pytestmark = pytest.mark.e2e

_WAIT_S = 30.0
_ALICE, _BOB = "alice-has-a-long-key", "bobs-is-as-long-as-hers"
_QUESTION = "Tell me about the harbour, its boats, and the people who work there by night. " * 20


@pytest.fixture
def keeping(random_model: Path, tmp_path: Path) -> Iterator[Running]:
    settings: dict[str, Any] = {"prefix_cache_dir": tmp_path / "kept", "prefix_cache_disk_mb": 64, "ocr_workers": 0}
    keys = f"alice:user:{_ALICE},bob:user:{_BOB}"
    with service(default_model=random_model, api_keys=keys, heartbeat_interval=0.2, **settings) as running:
        yield running


def ask(running: Running, key: str) -> tuple[str, int, int]:
    """Text, prompt tokens, and how many of them were cached."""
    body: dict[str, Any] = {
        "messages": [{"role": "user", "content": _QUESTION}],
        "temperature": 0,
        "max_tokens": 32,
    }
    headers = {"Authorization": f"Bearer {key}"}
    reply = httpx.post(f"{running.url}/v1/chat/completions", json=body, headers=headers, timeout=60).json()
    usage = reply["usage"]
    cached: int = usage["prompt_tokens_details"]["cached_tokens"]
    return reply["choices"][0]["message"]["content"], usage["prompt_tokens"], cached


def until_written(folder: Path, blocks: int) -> list[Path]:
    """The files, once there are so many: they are written behind the answer."""
    deadline = time.monotonic() + _WAIT_S
    while time.monotonic() < deadline:
        found = [path for path in folder.glob("*/*") if not path.name.endswith(".part")]
        if len(found) >= blocks:
            return found
        time.sleep(0.05)
    raise AssertionError(f"{blocks} blocks were not written in time")


def engine_pid(running: Running) -> int:
    for process in running.processes():
        if "src.engine.main" in process.cmdline():
            return process.pid
    raise AssertionError("there is no engine")


def test_a_killed_engine_and_a_restarted_service(keeping: Running, tmp_path: Path) -> None:
    """The successor has all whole blocks and says the same; for another key it has none."""
    text, prompt, cached = ask(keeping, _ALICE)
    assert cached == 0
    whole = (prompt - 1) // BLOCK
    until_written(tmp_path / "kept", whole)
    os.kill(engine_pid(keeping), signal.SIGKILL)
    assert ask(keeping, _ALICE) == (text, prompt, whole * BLOCK)
    assert ask(keeping, _BOB) == (text, prompt, 0)
    keeping.process.send_signal(signal.SIGTERM)
    keeping.start_again()
    keeping.wait()
    assert ask(keeping, _ALICE) == (text, prompt, whole * BLOCK)


def test_files_tell_nobody_whose_they_are(keeping: Running, tmp_path: Path) -> None:
    """Neither key, nor its name, nor the prompt's text is in one; all are their owner's alone."""
    _, prompt, _ = ask(keeping, _ALICE)
    files = [*until_written(tmp_path / "kept", (prompt - 1) // BLOCK), tmp_path / "kept" / "secret"]
    for path in files:
        content = path.read_bytes() + str(path.relative_to(tmp_path)).encode()
        assert not any(word in content for word in (_ALICE.encode(), b"alice", b"harbour"))
        assert path.stat().st_mode & 0o077 == 0
