"""`run.py stop`: drains and stops the running service."""

from __future__ import annotations

import sys
import time
from argparse import ArgumentParser, Namespace

import psutil

from src.commands.asking import ask, no_service, of_running_service
from src.errors import ExitCode
from src.installation import command
from src.ipc.messages.base import Accepted
from src.ipc.messages.control import StatusRequest, StopRequest
from src.ipc.messages.status import SystemStatus
from src.settings import Settings
from src.supervisor.processes import is_alive

NAME, HELP = "stop", "drain and stop the running service"
_STOP_MARGIN_S = 30.0


def configure(parser: ArgumentParser) -> None:
    """It takes no arguments."""


def run(options: Namespace, settings: Settings) -> ExitCode:
    """Return when the supervisor has exited, so that the next one can start at once."""
    settings = of_running_service(settings)
    running = ask(settings, StatusRequest())
    if not isinstance(running, SystemStatus) or not isinstance(ask(settings, StopRequest()), Accepted):
        return no_service(settings)
    if not _wait_for_exit(running.pid, settings.stop_seconds + _STOP_MARGIN_S):
        print(f"The service is still stopping; `{command('status')}` shows what it waits for.", file=sys.stderr)
        return ExitCode.FAILURE
    print("stopped")
    return ExitCode.OK


def _wait_for_exit(pid: int, timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    try:
        process = psutil.Process(pid)
    except psutil.NoSuchProcess:
        return True
    while (alive := is_alive(process)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not alive
