"""`run.py chat`: talks to the running service in the terminal."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from src.errors import ExitCode
from src.settings import Settings

NAME, HELP = "chat", "talk to the running service"


def configure(parser: ArgumentParser) -> None:
    parser.add_argument("question", nargs="?", help="one question alone; without it, a conversation")
    parser.add_argument("--model", help="default: DEFAULT_MODEL of the service")


def run(options: Namespace, settings: Settings) -> ExitCode:
    from src.chat import session  # for this command only: it brings an HTTP client

    return session.chat(settings, options.model, options.question)
