"""Shared by commands: which service they are meant for, requests to it, and the message when there is none."""

from __future__ import annotations

import shutil
import sys

import psutil

from src.errors import ExitCode
from src.ipc import client, runtime
from src.ipc.messages.wire import AnyMessage
from src.settings import ROOT, Settings, service_directories
from src.supervisor import instance

REPLY_TIMEOUT_S = 5.0


def print_problems(problems: list[str]) -> ExitCode:
    print("Invalid settings:", *problems, sep="\n  ", file=sys.stderr)
    return ExitCode.CONFIG


def of_running_service(settings: Settings) -> Settings:
    """These settings; with RUNTIME_DIR unset and no service in the default one, those of a unit's running service."""
    own = settings.runtime_path
    if settings.runtime_dir is not None or runtime.control_socket(own).exists():
        return settings
    try:
        found = instance.find(service_directories())
    except PermissionError as error:
        print(f"{error.filename} may not be read by this user: try sudo.", file=sys.stderr)
        return settings
    if found is None:
        return settings
    if found.root != str(ROOT):
        print(f"The service in {found.runtime_dir} runs from {found.root}: use its command.", file=sys.stderr)
        return settings
    print(f"(the service in {found.runtime_dir}, pid {found.pid})", file=sys.stderr)
    return found.applied_to(settings)


def terminal_width() -> int | None:
    """Columns; None where output goes into a file or a pipe, whose lines stay whole."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


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
