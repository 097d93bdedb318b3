"""`make test-console`, `make screenshots`: the page in a real Chromium (a system package), on the running service.

Playwright lives in an environment of its own, `.venv-console`; `drive.py` runs there.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from src.settings import ROOT, child_environment
from tests.running import service
from tests.unit.ocr.files import pdf

ENVIRONMENT = ROOT / ".venv-console"
KEY = "sk-console-0123456789abcdef"
PICTURES = ("chat.png", "machine.png", "documents.png", "dark-zh.png")
_LIMIT_S = 300


def main() -> int:
    browser = shutil.which("chromium")
    if browser is None:
        print("chromium is not installed here: apt install chromium", file=sys.stderr)
        return 1
    _install()
    folder = Path(tempfile.mkdtemp(prefix="console-"))
    # what is read becomes text on the page, never markup
    _draw(folder / "<img src=x onerror=alert(4)>.png", ["Invoice 2026-117", "<img src=x onerror=alert(1)>"])
    (folder / "thirty.pdf").write_bytes(pdf([f"This is page {number} of a report." for number in range(1, 31)]))
    with service(
        ocr_workers=1, api_keys=f"console:admin:{KEY}", engine_backoff_base=0.1, background_idle_seconds=0.5
    ) as running:
        argv = [
            str(ENVIRONMENT / "bin/python"),
            str(Path(__file__).parent / "drive.py"),
            browser,
            running.url,
            KEY,
            str(folder),
        ]
        done = subprocess.run(argv, timeout=_LIMIT_S, env=child_environment())
    if done.returncode == 0 and "--pictures" in sys.argv:
        for name in PICTURES:
            shutil.copy(folder / name, ROOT / "docs" / "pictures" / name)
    print(f"pictures of the views are in {folder}")
    return done.returncode


def _install() -> None:
    if not (ENVIRONMENT / "installed").exists():
        subprocess.run([sys.executable, "-m", "venv", ENVIRONMENT], check=True)
        subprocess.run(
            [ENVIRONMENT / "bin" / "pip", "install", "-q", "playwright>=1.50,<2", "axe-playwright-python>=0.1.4,<0.2"],
            check=True,
        )
        (ENVIRONMENT / "installed").touch()


def _draw(path: Path, lines: list[str]) -> None:
    image = Image.new("RGB", (900, 300), "white")
    for number, line in enumerate(lines):
        ImageDraw.Draw(image).text((60, 60 + 100 * number), line, font=ImageFont.load_default(36), fill="black")
    image.save(path)


if __name__ == "__main__":
    sys.exit(main())
