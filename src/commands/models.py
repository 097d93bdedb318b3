"""`run.py models`: lists the local models."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

import msgspec

from src.errors import ExitCode
from src.hub import inventory
from src.settings import Settings

NAME, HELP = "models", "list the local models, and whether they are complete"


def configure(parser: ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="one JSON array")


def run(options: Namespace, settings: Settings) -> ExitCode:
    found = list(inventory.models(settings.models_path))
    print(msgspec.json.encode(found).decode() if options.json else inventory.render(found))
    return ExitCode.OK
