"""`run.py connect CLIENT`: prints what a client needs to reach this service, or writes it into the client's own file.

`src/connect` says what stands in it and merges it; here are the files.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from argparse import ArgumentParser, Namespace
from pathlib import Path

from src import catalog, keys
from src.commands.asking import ask
from src.connect.clients import CLIENTS, KEY, ConnectedClient, Endpoint, named
from src.errors import ExitCode
from src.installation import command
from src.ipc.messages.control import StatusRequest
from src.ipc.messages.status import SystemStatus
from src.settings import Settings, SettingsError
from src.supervisor.specs import base_url
from src.supervisor.table import align

NAME, HELP = "connect", "print or write the configuration of a client: Codex, Claude Code, OpenCode, …"
_PRIVATE = 0o600


def configure(parser: ArgumentParser) -> None:
    names = [client.name for client in CLIENTS]
    parser.add_argument("client", nargs="?", choices=names, metavar="CLIENT", help="without one, they are listed")
    parser.add_argument(
        "--write", action="store_true", help="merge it into the client's file, after a diff and a backup"
    )
    parser.add_argument("--file", type=Path, help="the client's file, where it is another than usual")
    parser.add_argument("--model", help="the model; without one, DEFAULT_MODEL")
    parser.add_argument(
        "--context", type=int, metavar="TOKENS", help="the model's context, where nothing here knows it"
    )
    parser.add_argument("--url", help="the service, as the client reaches it; without one, this machine's")


def run(options: Namespace, settings: Settings) -> ExitCode:
    client = named(options.client) if options.client else None
    if client is None:
        print(align([("CLIENT", "NAME", "FILE"), *((one.name, one.title, one.file or "-") for one in CLIENTS)]))
        return ExitCode.OK
    try:
        endpoint = _endpoint(settings, options.url, options.model, options.context)
        return _write(client, endpoint, options.file) if options.write else _print(client, endpoint)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return ExitCode.CONFIG


def _endpoint(settings: Settings, url: str | None, model: str | None, context: int | None) -> Endpoint:
    """From the settings; the context from the engine, if one runs, else from the model's files or MAX_MODEL_LEN."""
    name = model or settings.default_model
    where = (url or base_url(settings)).rstrip("/").removesuffix("/v1")
    known = catalog.entries(settings)
    real = catalog.resolve(name, known, settings.model_aliases)
    on_disk = known[real].context_length if real in known else None
    context = context or _context_of_engine(settings, real) or on_disk or settings.max_model_len or None
    return Endpoint(where, name, context, keyed=bool(keys.load(settings)))


def _context_of_engine(settings: Settings, model: str) -> int | None:
    status = ask(settings, StatusRequest())
    children = status.children if isinstance(status, SystemStatus) else ()
    loaded = (child.health.model for child in children if child.health is not None and child.health.model is not None)
    return next((one.context_length for one in loaded if one.name == model), None)


def _print(client: ConnectedClient, endpoint: Endpoint) -> ExitCode:
    """Standard output has the configuration alone."""
    from src.connect import merge  # it brings parsers that the supervisor does without

    print(client.text(endpoint) if client.text else merge.merged("", client, endpoint), end="")
    if client.file is not None:
        _tell(f"This belongs into {client.file}; `{command(f'connect {client.name} --write')}` puts it there.")
    _tell_exports(client, endpoint)
    return ExitCode.OK


def _write(client: ConnectedClient, endpoint: Endpoint, file: Path | None) -> ExitCode:
    from src.connect import merge  # as above

    if client.file is None:
        _tell(f"{client.title} has no file to write: run `{command(f'connect {client.name}')}`.")
        return ExitCode.FAILURE
    path = (file or Path(client.file)).expanduser().resolve()  # a link stays one
    try:
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        after = merge.merged(before, client, endpoint)
        if after == before:
            _tell(f"{path} has these settings already.")
            return ExitCode.OK
        print(merge.shown_diff(before, after, str(path)), end="", flush=True)
        _replace(path, after)
    except merge.Unmergeable as error:
        _tell(f"{path} was not written: {error}. These settings belong into it:")
        print(merge.merged("", client, endpoint), end="")
        return ExitCode.FAILURE
    except (OSError, UnicodeDecodeError) as error:
        _tell(f"{path} was not written: {error}")
        return ExitCode.FAILURE
    _tell_exports(client, endpoint)
    return ExitCode.OK


def _replace(path: Path, text: str) -> None:
    """In one step, after a copy of what was there; neither is readable by more people than the file was."""
    path.parent.mkdir(parents=True, exist_ok=True)
    mode = _PRIVATE
    if path.exists():
        mode = path.stat().st_mode & 0o777
        backup = path.with_name(f"{path.name}.{time.strftime('%Y%m%dT%H%M%S')}.bak")
        shutil.copy2(path, backup)
        _tell(f"What was there is in {backup}.")
    descriptor, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as out:
            out.write(text)
        Path(partial).chmod(mode)
        Path(partial).replace(path)
    finally:
        Path(partial).unlink(missing_ok=True)
    _tell(f"Written: {path}")


def _tell_exports(client: ConnectedClient, endpoint: Endpoint) -> None:
    if client.heals and endpoint.context is None:
        _tell(
            f"{client.title} is not told the model's context: no engine runs, and the model's files are not here. Its "
            "sessions may end when the context is full. Add --context TOKENS, or run it again once the model is loaded."
        )
    for name, value in client.exports(endpoint).items():
        _tell(f"It needs: export {name}={value}")
    if client.name == "continue" and endpoint.keyed:
        _tell(f"It reads {KEY} from ~/.continue/.env.")
    if client.start:
        _tell(f"Then: {client.start}")


def _tell(text: str) -> None:
    print(text, file=sys.stderr)
