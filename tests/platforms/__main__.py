"""`make platforms`: every supported platform's packages come as wheels, and macOS's MLX has the names that we use.

Asks the package index that pip and uv are configured with; exit 1 on a platform that does not resolve or a name that is
not there.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from src.settings import ROOT
from tests.platforms import names
from tests.platforms.resolve import resolve, targets

_FETCH_S = 600.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("uv", type=Path, help="the program")
    options = parser.parse_args()
    broken = 0
    for target in targets():
        count, problem = resolve(options.uv, target)
        with_sources = f", compiled there: {', '.join(target.compiled)}" if target.compiled else ""
        print(f"| {target} | {problem or f'{count} packages{with_sources}'} |", flush=True)
        broken += bool(problem)
    with tempfile.TemporaryDirectory(prefix="wheels-") as folder:
        absent = names.missing(names.Wheels(_macos_wheels(Path(folder))), ROOT / "src")
    print(f"| names of MLX in src/ that macOS's wheels lack | {len(absent)} |")
    for where, name in absent:
        print(f"BROKEN: {where}: {name}")
    return 1 if broken or absent else 0


def _macos_wheels(folder: Path) -> list[Path]:
    """Of the versions that the lock names."""
    locked = re.findall(r"^((?:mlx|mlx-lm|mlx-vlm)==\S+)", (ROOT / "requirements.lock").read_text(), re.M)
    argv = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    argv += ["--platform", "macosx_14_0_arm64", "--python-version", "3.12", "--dest", str(folder)]
    subprocess.run([*argv, *locked], check=True, timeout=_FETCH_S)
    return sorted(folder.glob("*.whl"))


if __name__ == "__main__":
    sys.exit(main())
