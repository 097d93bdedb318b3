"""The command line, called by `run.py`: starts the service, or runs one of `src/commands`, a file a command.

Prints for people; `--json` for programs. Its exit codes are `errors.ExitCode`.
"""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, Namespace
from typing import Protocol

from src import installation
from src import settings as configuration
from src.commands import (
    backup,
    batch,
    bench,
    chat,
    check,
    config,
    connect,
    doctor,
    import_gguf,
    install,
    key,
    mcp,
    models,
    ocr,
    pull,
    run_model,
    start,
    status,
    stop,
    unit,
    usage,
)
from src.commands.asking import print_problems
from src.errors import ExitCode
from src.settings import VERSION, Settings, SettingsError, home

_EPILOG = f"Settings come from the environment and {home() / '.env'}; `{installation.command('config')}` shows them."


class Command(Protocol):
    """What a module of `src/commands` has."""

    NAME: str
    HELP: str

    def configure(self, parser: ArgumentParser) -> None:
        """Add its arguments."""

    def run(self, options: Namespace, settings: Settings) -> ExitCode: ...


# in the order in which `run.py --help` lists them
COMMANDS: tuple[Command, ...] = (
    *(check, config, status, doctor, ocr, batch, key, usage, connect, install, backup, bench),
    *(run_model, chat, pull, models, import_gguf, mcp, stop),
)


def main(argv: list[str]) -> ExitCode:
    """Run one command."""
    parser = make_parser()
    options = parser.parse_args(argv)
    if options.command is None and options.mode is None:
        parser.print_help()
        return ExitCode.OK
    if options.service and not _adopt_unit():
        return ExitCode.FAILURE
    try:
        settings = configuration.load()
    except SettingsError as error:
        return print_problems(error.problems)
    try:
        code = _run(options, settings)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        _discard_output()
        return ExitCode.CLOSED_PIPE
    return code


def _adopt_unit() -> bool:
    try:
        found = unit.installed()
    except OSError as error:
        sys.stderr.write(f"{error.filename}: {error.strerror}\n")
        return False
    if found is None:
        sys.stderr.write(f"No service is installed here ({unit.PATH}).\n")
        return False
    configuration.adopt(found.values)
    return True


def _discard_output() -> None:
    """Python flushes stdout once more when it ends: into a pipe without a reader that would be a traceback."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def make_parser() -> ArgumentParser:
    parser = ArgumentParser(prog=installation.program(), description="An OpenAI-compatible server.", epilog=_EPILOG)
    parser.add_argument("--version", action="version", version=f"stoker {VERSION}")
    parser.add_argument("--mode", choices=("prod", "dev", "backends"), help="start: all, all with reload, without web")
    parser.add_argument("--lifeline", type=int, metavar="PID", help="with --mode backends: end when this process ends")
    parser.add_argument("--service", action="store_true", help="use the settings of the installed systemd unit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for command in COMMANDS:
        command.configure(commands.add_parser(command.NAME, help=command.HELP))
    return parser


def _run(options: Namespace, settings: Settings) -> ExitCode:
    if options.command is None:
        return start.start(options.mode, settings, options.lifeline)
    return next(command for command in COMMANDS if options.command == command.NAME).run(options, settings)
