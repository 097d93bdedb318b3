"""`run.py status`: the running service, once or every second."""

from __future__ import annotations

import time
from argparse import ArgumentParser, Namespace

import msgspec

from src.commands import state_report
from src.commands.asking import ask, memory_of, no_service, of_running_service, terminal_width
from src.errors import ExitCode
from src.ipc.messages.control import StatusRequest
from src.ipc.messages.status import SystemStatus
from src.settings import Settings
from src.supervisor.table import render

NAME, HELP = "status", "show the running service"
_WATCH_S = 1.0


def configure(parser: ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--watch", action="store_true", help="again every second")


def run(options: Namespace, settings: Settings) -> ExitCode:
    try:
        return _show(options, of_running_service(settings))
    except KeyboardInterrupt:
        if not options.watch:
            raise
        return ExitCode.OK  # that is how one stops watching


def _show(options: Namespace, settings: Settings) -> ExitCode:
    while True:
        answer = ask(settings, StatusRequest())
        if not isinstance(answer, SystemStatus):
            return no_service(settings)
        if options.watch and not options.json:
            print("\033[2J\033[H", end="")  # clear the screen
        work = state_report.unfinished(settings.state_path, time.time(), answer.background_reason)
        answer = msgspec.structs.replace(answer, work=work)
        print(msgspec.json.encode(answer).decode() if options.json else _text(answer), flush=True)
        if not options.watch:
            return ExitCode.OK
        time.sleep(_WATCH_S)


def _text(answer: SystemStatus) -> str:
    work = "\n".join(state_report.lines(answer.work))
    return "\n\n".join(filter(None, (render(answer, memory_of, terminal_width()), work)))
