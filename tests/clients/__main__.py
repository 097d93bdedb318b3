"""`make test-clients`: other people's clients against our service, each in an environment of its own.

The model's weights are random. What must have a form is constrained, and a bias makes it short: quotes and braces close
as soon as they may, and a number is 3. Nothing is fetched but the packages themselves.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from src.settings import ROOT, child_environment
from tests.running import service

CHECKS = Path(__file__).parent / "checks"
ENVIRONMENTS = ROOT / ".venv-clients"
CLIENTS = {
    "langchain": ("langchain-openai>=1,<2", "langchain-tests>=1,<2", "pytest", "pytest-asyncio"),
    "litellm": ("litellm>=1.80,<2", "mcp"),
    "instructor": ("instructor>=1.10,<2",),
    "pydantic_ai": ("pydantic-ai-slim[openai]>=1,<3",),
    "openai_agents": ("openai-agents>=0.4,<2",),
    "mistralai": ("mistralai>=3.7,<4",),
    "mistralai_1": ("mistralai>=1.12,<2",),
}
NODE = "openai@^6.49"
_BIASES = {'"': 100, "}": 80, "]": 80, ",": 60, "3": 50}
_LIMIT_S = 300


def main(wanted: list[str]) -> int:
    folder = Path(tempfile.mkdtemp(prefix="clients-")) / "random"
    _random_model(folder)
    failed = []
    notice = folder.parent / "notice.png"
    _draw(notice)
    with service(default_model=folder, ocr_workers=1) as running:
        facts = [f"{running.url}/v1", str(folder), json.dumps(_bias(running.url)), str(notice)]
        for name in wanted or [*CLIENTS, "node"]:
            env = child_environment(LITELLM_LOCAL_MODEL_COST_MAP="True")  # nothing is fetched
            done = subprocess.run([*_command(name), *facts], cwd=ENVIRONMENTS, timeout=_LIMIT_S, env=env)
            print(f"{name}: {'ok' if done.returncode == 0 else 'FAILED'}", flush=True)
            failed += [name] if done.returncode else []
    return len(failed)


def _random_model(folder: Path) -> None:
    code = "from src.gpu import blas; blas.preload(); from training.demo.checkpoint import write_random_checkpoint as w"
    code += f"; from pathlib import Path; w(Path({str(folder)!r}))"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=_LIMIT_S)


def _draw(path: Path) -> None:
    image = Image.new("RGB", (900, 300), "white")
    ImageDraw.Draw(image).text((40, 100), "The north pier is closed", "black", ImageFont.load_default(48))
    image.save(path)


def _bias(url: str) -> dict[str, int]:
    """Token ids of the characters that end things."""
    found: dict[str, int] = {}
    for text, bias in _BIASES.items():
        body = json.dumps({"prompt": text}).encode()
        request = urllib.request.Request(f"{url}/tokenize", body, {"Content-Type": "application/json"})  # noqa: S310
        with urllib.request.urlopen(request, timeout=30) as reply:  # noqa: S310  # loopback
            (token,) = json.load(reply)["tokens"]
            found[str(token)] = bias
    return found


def _command(name: str) -> list[str]:
    """What runs a client's check; its environment is made the first time."""
    ENVIRONMENTS.mkdir(exist_ok=True)
    home = ENVIRONMENTS / name
    if name == "node":
        if not (home / "node_modules").is_dir():
            home.mkdir(exist_ok=True)
            subprocess.run(["npm", "install", "--prefix", str(home), NODE], check=True, timeout=_LIMIT_S)
        check = home / "node_check.mjs"
        check.write_text((CHECKS / "node_check.mjs").read_text(encoding="utf-8"), encoding="utf-8")
        return ["node", str(check)]
    if not (home / "bin").is_dir():
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True, timeout=_LIMIT_S)
        subprocess.run([str(home / "bin" / "pip"), "install", "-q", *CLIENTS[name]], check=True, timeout=_LIMIT_S)
    return [str(home / "bin" / "python"), str(CHECKS / f"{name.removesuffix('_1')}_check.py")]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
