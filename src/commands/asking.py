"""What commands have in common: they ask the service that runs, and say so when none answers."""

from __future__ import annotations

import sys

import psutil

from src.errors import ExitCode
from src.ipc import client, runtime
from src.ipc.messages.wire import AnyMessage
from src.settings import Settings

ANSWER_S = 5.0


def refuse(problems: list[str]) -> ExitCode:
    print("These settings are wrong:", *problems, sep="\n  ", file=sys.stderr)
    return ExitCode.CONFIG


def ask(settings: Settings, request: AnyMessage) -> AnyMessage | None:
    try:
        return client.ask(runtime.control_socket(settings.runtime_path), request, ANSWER_S)
    except client.Unanswered:
        return None


def no_service(settings: Settings) -> ExitCode:
    print(f"No service answers in {settings.runtime_path}.", file=sys.stderr)
    return ExitCode.FAILURE


def memory_of(pid: int) -> int | None:
    """Resident bytes of a process and all below it."""
    try:
        root = psutil.Process(pid)
        return sum(int(process.memory_info().rss) for process in (root, *root.children(recursive=True)))
    except psutil.Error:
        return None
