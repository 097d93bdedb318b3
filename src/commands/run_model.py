"""`run.py run NAME`: pulls a model if it is not here, serves it if nothing does, and talks to it."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace

from src import catalog
from src.errors import ExitCode
from src.installation import command
from src.settings import Settings

NAME, HELP = "run", "pull, serve and talk to a model"


def configure(parser: ArgumentParser) -> None:
    parser.add_argument(
        "model", metavar="NAME", help=f"a starter ({command('models --suggest')}), OWNER/NAME, a local model"
    )
    parser.add_argument("question", nargs="?", help="one question alone; without it, a conversation")


def _is_here(name: str, settings: Settings) -> bool:
    entry = catalog.entries(settings).get(name)
    return entry is not None and (entry.folder is not None or entry.size > 0)


def _chats(name: str, settings: Settings) -> bool:
    entry = catalog.entries(settings).get(name)
    return entry is None or "chat" in entry.capabilities


def run(options: Namespace, settings: Settings) -> ExitCode:
    from src.chat import session
    from src.chat.conversation import ChatError
    from src.hub import pull

    if not _is_here(options.model, settings):
        code = pull.run(pull.PullOptions(options.model), settings)
        if code is not ExitCode.OK:
            return code
    if not _chats(options.model, settings):
        print(f"{options.model} is here, and does not chat: see docs/models.md, Embedding models.", file=sys.stderr)
        return ExitCode.MODEL
    if session.is_running(settings):
        return session.chat(settings, options.model, options.question)
    print("starting the service …", file=sys.stderr)
    try:
        with session.service(settings, options.model):
            return session.chat(settings, options.model, options.question)
    except ChatError as error:
        print(error, file=sys.stderr)
        return ExitCode.FAILURE
