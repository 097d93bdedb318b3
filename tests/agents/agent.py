"""What an agent is to these tests: how it is installed, configured, told something, and what it said.

Each session has a folder of its own (home, work) and an environment that names nothing of this machine's; telemetry and
updates are off, and a proxy that is not there stands before everything but loopback.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from src.settings import ROOT

ENVIRONMENTS = ROOT / ".venv-agents"
MCP_SERVER = Path(__file__).parent / "mcp_server.py"
_INSTALL_S = 900
_TURN_S = 150
_NOWHERE = "http://127.0.0.1:9"
_QUIET = {
    "DO_NOT_TRACK": "1",
    "DISABLE_TELEMETRY": "1",
    "DISABLE_ERROR_REPORTING": "1",
    "DISABLE_AUTOUPDATER": "1",
    "HTTPS_PROXY": _NOWHERE,
    "HTTP_PROXY": _NOWHERE,
    "NO_PROXY": "127.0.0.1,localhost",
    "TERM": "dumb",
    "LANG": "C.UTF-8",
    "CI": "1",
}


@dataclass(frozen=True)
class Place:
    """A session's folder. `url` is the service's root; `context` what the model's context has."""

    folder: Path
    url: str
    model: str
    context: int

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def work(self) -> Path:
        return self.folder / "work"


@dataclass(frozen=True)
class Turn:
    """What an agent is told. `files` go with it as the agent attaches them."""

    prompt: str
    resumed: bool = False
    files: tuple[Path, ...] = ()
    streamed: bool = True


@dataclass(frozen=True)
class Outcome:
    """How a turn ended: the exit status, what the agent said, and all that it printed."""

    status: int
    said: str
    printed: str


class Agent(Protocol):
    """`lacks`: scenarios that it has no way to do, with the reason."""

    name: str
    wire: str
    lacks: dict[str, str]

    def install(self) -> None: ...
    def version(self) -> str: ...
    def configure(self, place: Place) -> None: ...
    def command(self, place: Place, turn: Turn) -> list[str]: ...
    def environment(self, place: Place) -> dict[str, str]: ...
    def said(self, printed: str) -> str: ...


@dataclass(frozen=True)
class Process:
    """A turn that is running."""

    process: subprocess.Popen[bytes]
    output: Path
    errors: Path
    said: Callable[[str], str] = field(repr=False)

    def wait(self, timeout_s: float = _TURN_S) -> Outcome:
        """Its outcome; a turn that takes longer is ended, with all that it started."""
        try:
            status = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            status = -1
        finally:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
        printed = self.output.read_text(errors="replace")
        return Outcome(status, self.said(printed), printed + self.errors.read_text(errors="replace"))


def start(agent: Agent, place: Place, turn: Turn) -> Process:
    number = len(list(place.folder.glob("*.out")))
    output, errors = place.folder / f"{number}.out", place.folder / f"{number}.err"
    environment = {"PATH": os.environ["PATH"], "HOME": str(place.home), **_QUIET, **agent.environment(place)}
    with output.open("wb") as out, errors.open("wb") as err:
        process = subprocess.Popen(
            agent.command(place, turn),
            cwd=place.work,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
    return Process(process, output, errors, agent.said)


def make(agent: Agent, folder: Path, url: str, model: str, context: int) -> Place:
    """A fresh session's folder, configured."""
    place = Place(folder, url, model, context)
    for each in (place.home, place.work):
        each.mkdir(parents=True)
    agent.configure(place)
    return place


def npm(package: str) -> Path:
    """Where a package's programs are; it is installed the first time."""
    home = ENVIRONMENTS / package.strip("@").replace("/", "-")
    if not (home / ".installed").exists():
        home.mkdir(parents=True, exist_ok=True)
        subprocess.run(["npm", "install", "--silent", "--prefix", str(home), package], check=True, timeout=_INSTALL_S)
        (home / ".installed").touch()
    return home / "node_modules" / ".bin"


def pip(name: str, *packages: str) -> Path:
    """Where an environment's programs are; it is made the first time."""
    home = ENVIRONMENTS / name
    if not (home / ".installed").exists():
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True, timeout=_INSTALL_S)
        subprocess.run([str(home / "bin" / "pip"), "install", "-qq", *packages], check=True, timeout=_INSTALL_S)
        (home / ".installed").touch()
    return home / "bin"


def version_of(program: Path) -> str:
    """What a program says of its version, without its name."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(ENVIRONMENTS), **_QUIET}
    done = subprocess.run(
        [program, "--version"], capture_output=True, text=True, timeout=60, env=environment, check=True
    )
    words = done.stdout.replace(",", " ").split()
    return next(word for word in words if word[:1].isdigit())
