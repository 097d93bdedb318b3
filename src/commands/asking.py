"""Shared by commands: requests to the running service, and the message when there is none."""

from __future__ import annotations

import sys

import psutil

from src.errors import ExitCode
from src.ipc import client, runtime
from src.ipc.messages.wire import AnyMessage
from src.settings import Settings

REPLY_TIMEOUT_S = 5.0


def print_problems(problems: list[str]) -> ExitCode:
    print("Invalid settings:", *problems, sep="\n  ", file=sys.stderr)
    return ExitCode.CONFIG


def ask(settings: Settings, request: AnyMessage) -> AnyMessage | None:
    try:
        return client.ask(runtime.control_socket(settings.runtime_path), request, REPLY_TIMEOUT_S)
    except client.Unanswered:
        return None


def no_service(settings: Settings) -> ExitCode:
    print(f"No service is running in {settings.runtime_path} (RUNTIME_DIR).", file=sys.stderr)
    return ExitCode.FAILURE


def memory_of(pid: int) -> int | None:
    """Resident memory of a process tree."""
    try:
        root = psutil.Process(pid)
        return sum(int(process.memory_info().rss) for process in (root, *root.children(recursive=True)))
    except psutil.Error:
        return None
