"""What was measured of a GGUF file: kept for it alone, and taken by `auto` from the next start on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from src import engine_record, selection
from src.engine_record import EngineRecord
from src.ipc import runtime
from src.settings import Settings
from tests.conftest import MakeSettings

SLOWER_AT_ONE = EngineRecord((1, 8, 16), {"mlx": (14.0, 110.0, 200.0), "llama.cpp": (60.0, 50.0, 60.0)}, "2026-12-01")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    found = tmp_path / "models" / "small.gguf"
    found.parent.mkdir()
    found.write_bytes(b"GGUF")
    return found


@pytest.fixture
def settings(make_settings: MakeSettings, tmp_path: Path) -> Settings:
    return make_settings(models_dir=tmp_path / "models", default_model="small", llama_cpp_command="llama-server")


def test_the_faster_one_is_taken(file: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over all numbers of streams together; the reason has the figures."""
    assert selection.select("small", settings).engine == "llama.cpp"
    engine_record.write(file, settings, SLOWER_AT_ONE)
    chosen = selection.select("small", settings)
    assert chosen.engine == "mlx"
    assert "mlx 14 / 110 / 200, llama.cpp 60 / 50 / 60 tokens/s at 1 / 8 / 16 streams" in chosen.why
    named = settings.model_copy(update={"inference_engine": "llama.cpp"})
    assert selection.select("small", named).engine == "llama.cpp"
    monkeypatch.setattr(selection, "has_llama_cpp", lambda _: False)
    assert "no llama.cpp server" in selection.select("small", settings).why


def test_another_file_was_not_measured(file: Path, settings: Settings) -> None:
    """Nor the same one with other settings of its kernels."""
    engine_record.write(file, settings, EngineRecord((1,), {"mlx": (2.0,), "llama.cpp": (1.0,)}, "2026-12-01"))
    assert engine_record.read(file, settings) is not None
    assert engine_record.read(file, settings.model_copy(update={"cpu_kernels": "fp32"})) is None
    file.write_bytes(b"GGUF of another model")
    assert engine_record.read(file, settings) is None


def test_another_server_was_not_measured(file: Path, settings: Settings, tmp_path: Path) -> None:
    """A new version of it under the old name."""
    program = tmp_path / "llama-server"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    named = settings.model_copy(update={"llama_cpp_command": f"{program} -m {{model}}"})
    engine_record.write(file, named, EngineRecord((1,), {"mlx": (2.0,), "llama.cpp": (1.0,)}, "2026-12-01"))
    assert engine_record.read(file, named) is not None
    program.write_text("#!/bin/sh\nexit 0\n")
    assert engine_record.read(file, named) is None
    assert engine_record.read(file, settings.model_copy(update={"llama_cpp_command": "'"})) is None


def test_a_service_keeps_the_engines_it_began_with(file: Path, settings: Settings, runtime_dir: Path) -> None:
    """Its answers are put again to the engine that they came from."""
    lock = runtime.lock_file(runtime_dir)
    lock.touch()
    kept = engine_record.write(file, settings, EngineRecord((1,), {"mlx": (2.0,), "llama.cpp": (1.0,)}, "2026-12-01"))
    os.utime(lock, (1000, 1000))
    assert engine_record.read(file, settings) is None
    os.utime(lock, (kept.stat().st_mtime + 1,) * 2)
    assert engine_record.read(file, settings) is not None


def test_a_record_that_cannot_be_read_is_none(file: Path, settings: Settings) -> None:
    engine_record.write(
        file, settings, EngineRecord((1,), {"mlx": (2.0,), "llama.cpp": (1.0,)}, "2026-12-01")
    ).write_bytes(b"{")
    assert engine_record.read(file, settings) is None
    assert selection.select("small", settings).engine == "llama.cpp"
