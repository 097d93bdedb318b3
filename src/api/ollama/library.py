"""POST /api/pull and DELETE /api/delete, for admins: models are fetched by `run.py pull`, and removed from MODELS_DIR.

A pull is a process of its own: what it has fetched stays when the client goes, and is gone on with by the next.
"""

from __future__ import annotations

import re
import shutil
import sys
import time
from collections.abc import Iterator

import gevent
from flask import Blueprint, Response
from gevent import subprocess
from loguru import logger

from src import catalog
from src.api.generation import streaming
from src.api.ollama import answers, translation
from src.api.ollama.schemas import NamedModel, OllamaStatus
from src.api.openai import disclosure, model_cards
from src.api.service import json_body, json_response, service
from src.api.wire import PlainError
from src.errors import BackendUnavailable, ExitCode, InvalidRequest, ServiceError
from src.ipc.messages.control import MoveModel
from src.settings import ROOT, child_environment

blueprint = Blueprint("ollama_library", __name__)

COMMAND = (sys.executable, "run.py", "pull")
# as the hubs name models, or a starter; never an option of the command
_ON_A_HUB = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_LONGEST_S = 24 * 3600.0
_SILENCE_S = 10.0
_END_S = 10.0
_MOST_SHOWN = 512


class Pull:
    """One `run.py pull` and what it says; closing it ends it."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._until = time.monotonic() + _LONGEST_S
        # this process may hold no setting of where models lie but its own
        environment = child_environment(MODELS_DIR=str(service().settings.models_path))
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        self._process = subprocess.Popen([*COMMAND, model], cwd=ROOT, env=environment, **pipes)

    def lines(self) -> Iterator[bytes]:
        """Each thing it says as a line of JSON, white space while it says nothing; raises when it failed."""
        said = ""
        yield answers.line(OllamaStatus(f"pulling {self._model}"))
        while (piece := self._next()) != b"":
            if piece is None:
                yield answers.PING
                continue
            said = _shown(piece) or said
            yield answers.line(OllamaStatus(said))
        code = self._process.wait(_END_S)
        if code == ExitCode.MODEL:
            raise InvalidRequest(said or "no such model", param="model")
        if code != 0:
            raise BackendUnavailable(said or "run.py pull failed.")
        yield answers.line(OllamaStatus("success"))

    def _next(self) -> bytes | None:
        """What it says next; None after a silence, b"" at its end."""
        if time.monotonic() > self._until:
            raise BackendUnavailable(f"The model was not fetched within {_LONGEST_S:g} s.")
        piece: bytes | None = None
        with gevent.Timeout(_SILENCE_S, False):
            piece = self._process.stdout.readline()
        return piece  # noqa: RET504  # a timeout leaves it as it was

    def close(self) -> None:
        if self._process.poll() is None:
            logger.info("a pull is ended: its client left")
            self._process.terminate()


def _shown(piece: bytes) -> str:
    """The last state of a line that is written over."""
    return piece.decode("utf-8", "replace").rstrip().rpartition("\r")[2][:_MOST_SHOWN]


def _failed(error: ServiceError) -> bytes:
    return answers.line(PlainError(error.message))


@blueprint.post("/api/pull")
def pull() -> Response:
    asked, name = _asked()
    if not _ON_A_HUB.fullmatch(name):
        raise InvalidRequest("A model is pulled by its name on the hub, OWNER/NAME, or by a starter's.", param="model")
    running = Pull(name)
    if asked.stream:
        return answers.as_lines(streaming.respond(running.lines(), _failed, running.close))
    try:
        list(running.lines())
    finally:
        running.close()
    return json_response(OllamaStatus("success"))


@blueprint.delete("/api/delete")
def delete() -> Response:
    """Once its requests have ended. What the settings name is the operator's to remove."""
    _, name = _asked()
    shared = service()
    settings, entry = shared.settings, shared.backends.check_model(name)
    named = (settings.default_model, *catalog.names(settings.pinned_models), *catalog.names(settings.allowed_models))
    folder = entry.folder
    if entry.name in named or folder is None or not folder.resolve().is_relative_to(settings.models_path.resolve()):
        raise InvalidRequest("Only models in MODELS_DIR that no setting names are deleted.", param="model")
    shared.backends.order(MoveModel("unloaded", entry.name))
    if not model_cards.settled((entry.name,), {"unloaded", "failed"}):
        raise BackendUnavailable("The model still answers requests; try again.", retry_after_s=5.0)
    gevent.get_hub().threadpool.apply(shutil.rmtree, (folder,))
    logger.info("a model was deleted: {}", entry.name)
    return Response(status=200)


def _asked() -> tuple[NamedModel, str]:
    asked = NamedModel.model_validate(disclosure.settle("ollama", json_body(loose=True)))
    name = asked.model or asked.name
    if name is None:
        raise InvalidRequest("model is missing.", param="model")
    return asked, translation.model_name(name, service().backends.models)
