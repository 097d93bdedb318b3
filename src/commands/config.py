"""`run.py config`: the effective settings and where each comes from."""

from __future__ import annotations

import re
from argparse import ArgumentParser, Namespace
from pathlib import Path

from src import settings as configuration
from src.commands.asking import terminal_width
from src.errors import ExitCode
from src.settings import ROOT, Settings
from src.supervisor.table import align

NAME, HELP = "config", "show the effective settings and where they come from"
_SECRET = ("key", "token", "secret", "password")


def configure(parser: ArgumentParser) -> None:
    parser.add_argument("--example", action="store_true", help="write .env.example instead")


def run(options: Namespace, settings: Settings) -> ExitCode:
    return write_example() if options.example else show(settings)


def show(settings: Settings) -> ExitCode:
    rows = [
        (name.upper(), configuration.source_of(name), masked(name, getattr(settings, name)))
        for group in configuration.GROUPS
        for name in group.model_fields
    ]
    print(align([("SETTING", "SOURCE", "VALUE"), *rows], terminal_width()))
    return ExitCode.OK


def masked(name: str, value: object) -> str:
    """A setting's value for display. Numbers (`DEFAULT_MAX_TOKENS`) are not secret; a URL may contain a password."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, Path):
        return str(value)
    if str(value) and any(word in name.lower() for word in _SECRET):
        return "********"
    return re.sub(r"://[^/@\s]*@", "://********@", str(value))


def write_example(path: Path = ROOT / ".env.example") -> ExitCode:
    path.write_text(configuration.example(), encoding="utf-8")
    print(f"wrote {path}")
    return ExitCode.OK
