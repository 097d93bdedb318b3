"""`run.py models`: lists the local models, suggests one for this machine, removes one."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

import msgspec

from src.errors import ExitCode
from src.hub import inventory
from src.installation import command
from src.settings import Settings

NAME, HELP = "models", "list the local models, and whether they are complete; suggest one; remove one"


def configure(parser: ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="one JSON array")
    parser.add_argument("--suggest", action="store_true", help="models to begin with, and which fit this machine")
    actions = parser.add_subparsers(dest="action", metavar="rm NAME")
    remove = actions.add_parser("rm", help="delete a local model")
    remove.add_argument("name", metavar="NAME", help=f"as `{command('models')}` shows it")


def run(options: Namespace, settings: Settings) -> ExitCode:
    if options.action == "rm":
        from src.hub import removal

        return removal.run(options.name, settings)
    found = list(inventory.models(settings.models_path))
    if options.suggest:
        return _suggest([model.name for model in found], settings)
    print(msgspec.json.encode(found).decode() if options.json else inventory.render(found))
    return ExitCode.OK


def _suggest(present: list[str], settings: Settings) -> ExitCode:
    from src.hub import machine, starters

    print(starters.suggestions(machine.here(settings), present))
    return ExitCode.OK
