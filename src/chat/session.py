"""Opens a terminal chat: with the running service, or with one that is started for it and ends with it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from src.chat.client import ChatClient
from src.chat.conversation import ChatError, TerminalConversation
from src.chat.terminal import TerminalChat, read_line
from src.errors import ExitCode
from src.settings import ROOT, Settings, child_environment
from src.supervisor.specs import base_url

_POLL_S = 0.2
_STOP_MARGIN_S = 30.0
_CONSOLE_CHARS = 2000  # characters of console output shown when it fails to start
_READ_MARGIN_S = 60.0


def chat(settings: Settings, model: str | None, question: str | None) -> ExitCode:
    """Talk to the running service; one question alone, if it is given."""
    read_timeout_s = 2 * settings.sse_ping_seconds + _READ_MARGIN_S
    with closing(ChatClient(base_url(settings), settings.stoker_api_key, read_timeout_s)) as client:
        terminal = TerminalChat(client, TerminalConversation(model), read_line, sys.stdout)
        if question is not None:
            return ExitCode.OK if terminal.handle(question) else ExitCode.FAILURE
        terminal.run()
    return ExitCode.OK


def is_running(settings: Settings) -> bool:
    with closing(ChatClient(base_url(settings), None, _READ_MARGIN_S)) as client:
        return client.ready()


@contextmanager
def service(settings: Settings, model: str) -> Iterator[None]:
    """The service with the user's settings and this model, until the block ends.

    Raises:
        ChatError: it does not start, with its last output.
    """
    with tempfile.TemporaryDirectory(prefix="stoker-") as folder:
        console = Path(folder) / "console"
        process = _start(model, console)
        try:
            _wait(settings, process, console)
            yield
        finally:
            process.terminate()
            _reap(process, settings.stop_seconds + _STOP_MARGIN_S)


def _start(model: str, console: Path) -> subprocess.Popen[bytes]:
    """It ends with this process (`--lifeline`), and not by ^C, which is for an answer."""
    command = [sys.executable, "run.py", "--mode", "prod", "--lifeline", str(os.getpid())]
    with console.open("wb") as output:
        return subprocess.Popen(
            command,
            cwd=ROOT,
            env=child_environment(DEFAULT_MODEL=model, DRAIN_NOTICE="0"),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def _wait(settings: Settings, process: subprocess.Popen[bytes], console: Path) -> None:
    deadline = time.monotonic() + settings.start_timeout
    while not is_running(settings):
        if process.poll() is not None or time.monotonic() > deadline:
            said = console.read_text(errors="replace").strip()[-_CONSOLE_CHARS:]
            raise ChatError(f"The service did not start. Its last output:\n{said}")
        time.sleep(_POLL_S)


def _reap(process: subprocess.Popen[bytes], timeout_s: float) -> None:
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
