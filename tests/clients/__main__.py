"""`make test-clients`: other people's clients against our service, each in an environment of its own.

The model's weights are random. What must have a form is constrained, and a bias makes it short: quotes and braces close
as soon as they may, and a number is 3. Loops of tools, pictures and PDFs are over the scripted model of `tests/agents`.
Nothing is fetched but the packages themselves.
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
from tests.agents.upstream import over_script, scripted
from tests.e2e import pictures
from tests.running import service
from tests.unit.ocr import files

CHECKS = Path(__file__).parent / "checks"
ENVIRONMENTS = ROOT / ".venv-clients"
CLIENTS = {
    "langchain": ("langchain-openai>=1,<2", "langchain-tests>=1,<2", "pytest", "pytest-asyncio"),
    "litellm": ("litellm>=1.80,<2", "mcp"),
    "instructor": ("instructor>=1.10,<2",),
    "pydantic_ai": ("pydantic-ai-slim[openai]>=1,<3",),
    "openai_agents": ("openai-agents>=0.4,<2",),
    "lm_eval": ("lm-eval[api]>=0.4,<1", "transformers"),
    "guidellm": ("guidellm>=0.8,<1",),
    "mistralai": ("mistralai>=3.7,<4",),
    "mistralai_1": ("mistralai>=1.12,<2",),
}
LOOPS = {
    "anthropic": ("anthropic>=0.60",),
    "langchain_agents": ("langchain>=1,<2", "langchain-openai>=1,<2", "langchain-anthropic>=1,<2"),
    "litellm_proxy": ("litellm[proxy]>=1.100,<2",),
    "openai_agents_loop": ("openai-agents>=0.4,<2",),
    "llama_index": ("llama-index-llms-openai-like>=0.5,<1",),
    "dspy": ("dspy>=3,<4",),
    "smolagents": ("smolagents[openai]>=1.20,<2",),
    "haystack": ("haystack-ai>=2.20,<4",),
    "semantic_kernel": ("semantic-kernel>=1.35,<2",),
    "autogen": ("autogen-agentchat>=0.7,<1", "autogen-ext[openai]>=0.7,<1"),
    "crewai": ("crewai>=1,<2",),
}
NODE = {
    "node": ("openai@^6.49",),
    "node_work": ("openai@^6.49",),
    "promptfoo": ("promptfoo@^0.120",),
    "ai_sdk": ("ai@^6", "@ai-sdk/openai@^3", "@ai-sdk/anthropic@^3", "@ai-sdk/openai-compatible@^2", "zod@^4"),
}
NODE_LOOPS = ("promptfoo", "ai_sdk")
_BIASES = {'"': 100, "}": 80, "]": 80, ",": 70, "3": 40}
_LIMIT_S = 600
_INSTALL_S = 1800  # guidellm brings torch


def main(wanted: list[str]) -> int:
    folder = Path(tempfile.mkdtemp(prefix="clients-"))
    names = wanted or [*CLIENTS, *LOOPS, *NODE]
    loops = [name for name in names if name in LOOPS or name in NODE_LOOPS]
    forms = [name for name in names if name not in loops]
    return (_forms(forms, folder) if forms else 0) + (_loops(loops, folder) if loops else 0)


def _forms(names: list[str], folder: Path) -> int:
    """How many fail over a model with random weights."""
    model, notice = folder / "random", folder / "notice.png"
    _random_model(model)
    _draw(notice)
    with service(default_model=model, ocr_workers=1, background_idle_seconds=0) as running:
        facts = [f"{running.url}/v1", str(model), json.dumps(_bias(running.url)), str(notice)]
        return sum(not _passes(name, *facts) for name in names)


def _loops(names: list[str], folder: Path) -> int:
    """How many fail over the scripted model; `folder` has what they send."""
    (folder / "pier.png").write_bytes(pictures.line("HARBOUR"))
    (folder / "bill.pdf").write_bytes(files.pdf(["INVOICE 4711 of the harbour office for berth 12"]))
    with scripted() as model, over_script(model) as running:
        return sum(not _passes(name, f"{running.url}/v1", "coder", str(folder)) for name in names)


def _passes(name: str, *facts: str) -> bool:
    # nothing is fetched, and nobody is told
    quiet = {"CREWAI_DISABLE_TELEMETRY": "true", "OTEL_SDK_DISABLED": "true", "HAYSTACK_TELEMETRY_ENABLED": "False"}
    env = child_environment(LITELLM_LOCAL_MODEL_COST_MAP="True", DO_NOT_TRACK="1", **quiet)
    done = subprocess.run([*_command(name), *facts], cwd=ENVIRONMENTS, timeout=_LIMIT_S, env=env)
    print(f"{name}: {'ok' if done.returncode == 0 else 'FAILED'}", flush=True)
    return done.returncode == 0


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
    if name in NODE:
        if not (home / "node_modules").is_dir():
            home.mkdir(exist_ok=True)
            subprocess.run(["npm", "install", "--prefix", str(home), *NODE[name]], check=True, timeout=_LIMIT_S)
        check = home / f"{name}_check.mjs"
        check.write_text((CHECKS / check.name).read_text(encoding="utf-8"), encoding="utf-8")
        return ["node", str(check)]
    if not (home / "bin").is_dir():
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True, timeout=_LIMIT_S)
        subprocess.run(
            [str(home / "bin" / "pip"), "install", "-qq", *(CLIENTS | LOOPS)[name]], check=True, timeout=_INSTALL_S
        )
    return [str(home / "bin" / "python"), str(CHECKS / f"{name.removesuffix('_1')}_check.py")]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
