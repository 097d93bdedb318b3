"""From a template to a command line."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from src.engine.upstream.command import fill, template
from src.engine.upstream.main import arguments
from src.errors import ModelLoadFailed
from tests.conftest import MakeSettings

VALUES = {"model": "/m odels/x", "name": "x", "host": "127.0.0.1", "port": "9", "context": "", "parallel": "32"}
PYTHON = sys.executable


def test_a_place_is_one_argument() -> None:
    """No shell reads it: a path with spaces stays whole, and what looks like a place but is none stays as it is."""
    argv = fill(f"{PYTHON} -m {{model}} --config '{{\"a\": [1]}}' --at={{host}}:{{port}} {{unknown}}", VALUES)
    assert argv == (PYTHON, "-m", "/m odels/x", "--config", '{"a": [1]}', "--at=127.0.0.1:9", "{unknown}")


def test_an_option_without_a_value_goes() -> None:
    """`{context}` is empty while MAX_MODEL_LEN is 0: the server decides."""
    assert fill(f"{PYTHON} -c {{context}} --jinja", VALUES) == (PYTHON, "--jinja")
    assert fill(f"{PYTHON} -c {{context}} --jinja", VALUES | {"context": "512"}) == (PYTHON, "-c", "512", "--jinja")


@pytest.mark.parametrize("text", ["no-such-program serve", "unfinished 'quote", "''"])
def test_what_cannot_be_started(text: str) -> None:
    """Said before anything is tried."""
    with pytest.raises(ModelLoadFailed):
        fill(text, VALUES)


def test_the_gguf_server_that_is_installed(make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """LLAMA_CPP_COMMAND, or llama-server, or llama_cpp.server, or a word on how to get one."""
    which = "src.engine.upstream.command.shutil.which"
    monkeypatch.setattr("src.engine.upstream.command.find_spec", lambda _: None)
    monkeypatch.setattr(which, lambda name: name)
    assert template("llama.cpp", make_settings(llama_cpp_command="mine")) == "mine"
    assert template("llama.cpp", make_settings()).startswith("llama-server -m {model}")
    monkeypatch.setattr(which, lambda _: None)
    with pytest.raises(ModelLoadFailed, match=r"brew install llama\.cpp"):
        template("llama.cpp", make_settings())
    monkeypatch.setattr("src.engine.upstream.command.find_spec", lambda name: name)
    assert "-m llama_cpp.server" in template("llama.cpp", make_settings())


def test_what_is_served(make_settings: MakeSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """vLLM gets the model's folder, or its name on the hub; a GGUF server gets the file."""
    monkeypatch.setattr("src.engine.upstream.command.shutil.which", lambda name: name)
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "config.json").write_text("{}")
    (tmp_path / "small.gguf").touch()
    settings = make_settings(models_dir=tmp_path, max_num_seqs=4, max_model_len=512)
    argv = arguments("own", "vllm", settings, 9)
    assert argv[:3] == ("vllm", "serve", str(tmp_path / "own"))
    assert argv[argv.index("--max-model-len") :][:4] == ("--max-model-len", "512", "--max-num-seqs", "4")
    assert arguments("owner/name", "vllm", settings, 9)[2] == "owner/name"
    assert arguments("small", "llama.cpp", settings, 9)[2] == str(tmp_path / "small.gguf")
