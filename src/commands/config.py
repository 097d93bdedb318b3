"""`run.py config`: the effective settings and where each comes from."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from src import settings as configuration
from src.commands.asking import terminal_width
from src.effective_settings import effective
from src.errors import ExitCode
from src.settings import Settings, home
from src.supervisor.table import align

NAME, HELP = "config", "show the effective settings and where they come from"


def configure(parser: ArgumentParser) -> None:
    parser.add_argument("--example", action="store_true", help="write .env.example instead")


def run(options: Namespace, settings: Settings) -> ExitCode:
    return write_example() if options.example else show(settings)


def show(settings: Settings) -> ExitCode:
    rows = [(row.name, row.source, row.value) for row in effective(settings)]
    print(align([("SETTING", "SOURCE", "VALUE"), *rows], terminal_width()))
    return ExitCode.OK


def write_example(path: Path | None = None) -> ExitCode:
    path = path or home() / ".env.example"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.write_text(configuration.example(), encoding="utf-8")
    print(f"wrote {path}")
    return ExitCode.OK
