"""The real supervisor over three stand-ins, as a program: its settings come from the environment."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from src.ipc import runtime
from src.settings import Settings, load
from src.supervisor import main as supervisor
from src.supervisor.specs import ChildSpec, base_url

STANDIN = [sys.executable, "-m", "tests.unit.supervisor.standin"]


def table(settings: Settings, journal: Path, engine: list[str]) -> tuple[ChildSpec, ...]:
    directory, note = settings.runtime_path, ["--journal", str(journal)]
    engine_socket, ocr_socket = runtime.engine_socket(directory, "demo"), runtime.ocr_socket(directory)
    web = [*STANDIN, "web", "--port", str(settings.port), *note]
    ocr = [*STANDIN, "ocr", "--socket", str(ocr_socket), *note]
    return (
        ChildSpec(
            "engine",
            (*STANDIN, "engine", "--socket", str(engine_socket), *note, *engine),
            engine_socket,
            2,
            30,
            stream="model",
        ),
        ChildSpec("ocr", tuple(ocr), ocr_socket, 1, 30),
        ChildSpec("web", tuple(web), f"{base_url(settings)}/livez", 0, 30, misses=3),
    )


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--journal", type=Path, required=True)
    parser.add_argument("--lifeline", type=int)
    options, engine = parser.parse_known_args()
    settings = load()
    return supervisor.run(
        settings, with_web=True, lifeline=options.lifeline, table=table(settings, options.journal, engine)
    )


if __name__ == "__main__":
    sys.exit(main())
