"""The life of an upstream engine, called by `engine.main`: start the server or find it, wait until it serves, watch it.

It ends on SIGTERM, on SIGUSR1 when nothing is left to do, when the upstream server ends, and when it does not respond.
"""

from __future__ import annotations

import asyncio
import logging
import re
import signal
import time
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
from loguru import logger

from src import logs, selection
from src.catalog import model_folder
from src.engine.revision import FilesChanged, Revision, places
from src.engine.upstream import command
from src.engine.upstream.client import Client, Unreachable
from src.engine.upstream.dialects import LLAMA_SERVER, NoSuchModel, ServerFacts, recognise
from src.engine.upstream.process import UpstreamProcess, free_port
from src.engine.upstream.server import UpstreamServer
from src.errors import ExitCode, ModelLoadFailed
from src.settings import Settings

_LINGER_S = 10.0
_POLL_S = 0.2
_REQUEST_S = 5.0
_WARM_UP_S = 120.0
_SIGNALLED = 128
_PORT_TAKEN = re.compile("address already in use|couldn't bind", re.IGNORECASE)


def run(path: Path, model: str, engine: selection.Engine, settings: Settings) -> ExitCode:
    """Serve until the end; raises AddressInUse."""
    logging.getLogger("httpx2").setLevel(logging.WARNING)  # a line for each request says nothing new
    return asyncio.run(_Lifecycle(path, model, engine, settings).live())


class _Lifecycle:
    def __init__(self, path: Path, model: str, engine: selection.Engine, settings: Settings) -> None:
        self._path = path
        self._model = model
        self._engine = engine
        self._settings = settings
        self._child: UpstreamProcess | None = None
        self._client: Client | None = None
        self._revision: Revision | None = None  # of what the child reads

    async def live(self) -> ExitCode:
        loop = asyncio.get_running_loop()
        stop, finish = asyncio.Event(), asyncio.Event()
        loop.add_signal_handler(signal.SIGTERM, stop.set)
        loop.add_signal_handler(signal.SIGUSR1, finish.set)
        server = UpstreamServer(
            self._path,
            self._model,
            self._engine,
            self._settings,
            memory=lambda: self._child.memory() if self._child else 0,
        )
        await server.start()
        serving = asyncio.ensure_future(self._serve(server))
        ends = [asyncio.ensure_future(stop.wait()), asyncio.ensure_future(_then(finish, server.idle))]
        try:
            await asyncio.wait({serving, *ends}, return_when=asyncio.FIRST_COMPLETED)
            return serving.result() if serving.done() else ExitCode.OK
        finally:
            planned = not serving.done()
            for task in (serving, *ends):
                task.cancel()
            await asyncio.gather(serving, *ends, return_exceptions=True)
            await server.close(planned=planned)
            await self._clean_up()

    async def _clean_up(self) -> None:
        if self._client is not None:
            await self._client.close()
        if self._child is not None:
            await self._child.stop()

    async def _serve(self, server: UpstreamServer) -> ExitCode:
        """From the start to the end of the upstream server."""
        began = time.monotonic()
        try:
            client, ended = await self._launch()
            facts = await self._until_serving(server, client, ended)
        except ModelLoadFailed as error:
            logs.model.error("{}", error.message)
            await server.failed(error, _LINGER_S)
            return ExitCode.MODEL
        if facts is None or self._replaced_meanwhile():
            return ExitCode.ENGINE_FAULT
        self._announce(server, client, facts, time.monotonic() - began)
        either: set[asyncio.Future[Any]] = {ended, server.lost}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        why = server.lost.result() if server.lost.done() else f"the upstream server ended, exit status {ended.result()}"
        logs.model.error("{}; exiting for a restart", why)
        return ExitCode.ENGINE_FAULT

    def _announce(self, server: UpstreamServer, client: Client, facts: ServerFacts, load_s: float) -> None:
        life = self._revision.digest if self._revision is not None else uuid.uuid4().hex
        # what a server loaded that reads no files of this disk is unknown: its answers are this process's alone
        server.ready(client, replace(facts, revision=life), load_s)
        logs.model.info(
            "{} is ready after {:.1f} s: {} at {}",
            self._model,
            load_s,
            f"{facts.dialect.name} {facts.model}",
            client.url,
        )

    def _replaced_meanwhile(self) -> bool:
        """Whether the child may have read files of two revisions."""
        try:
            if self._revision is not None:
                self._revision.check()
        except FilesChanged as error:
            logs.model.warning("{}", error)
            return True
        return False

    async def _launch(self) -> tuple[Client, asyncio.Future[int]]:
        """Start the server, or take the remote one; the future is the exit status of one that was started."""
        if self._settings.upstream_url:
            self._client = Client(self._settings.upstream_url, self._settings.upstream_api_key, local=False)
            return self._client, asyncio.get_running_loop().create_future()
        port = free_port()
        argv = arguments(self._model, self._engine, self._settings, port)
        logger.info("starting {}", " ".join(argv))
        self._revision = self._own_files(argv, port)
        child = UpstreamProcess(argv)
        await child.start()
        self._child = child
        self._client = Client(f"http://{command.HOST}:{port}", child.key, local=True)
        return self._client, asyncio.ensure_future(child.ended())

    def _own_files(self, argv: tuple[str, ...], port: int) -> Revision | None:
        """What the child will read; None where its model does not lie on this disk, or not where this service looks."""
        model = places(self._model, self._settings.models_path)
        facts = [word for word in argv if word != str(port)]  # it is another one at each start
        return Revision.of([*model, *command.files(argv)], *facts) if model else None

    async def _until_serving(
        self, server: UpstreamServer, client: Client, ended: asyncio.Future[int]
    ) -> ServerFacts | None:
        """Ask until it serves (START_TIMEOUT is the supervisor's to keep); None if it ended, and may be tried again."""
        while not ended.done():
            try:
                facts = await self._ask(client)
                await _warm_up(client, facts)
                return facts
            except (Unreachable, _NotServing) as error:
                server.detail = f"waiting for {client.url}: {error}"
            await asyncio.wait({ended}, timeout=_POLL_S)
        output = self._child.exit_output if self._child is not None else ""
        if ended.result() > _SIGNALLED or _PORT_TAKEN.search(output):
            logs.model.error("the upstream server ended (status {}); another is started", ended.result())
            return None
        raise ModelLoadFailed(f"The upstream server ended with status {ended.result()} before it served: {output}")

    async def _ask(self, client: Client) -> ServerFacts:
        """Its health, where it has one, and what it serves."""
        health = await client.get("/health", _REQUEST_S)
        models = await client.get("/v1/models", _REQUEST_S)
        if models.status in (401, 403):
            raise ModelLoadFailed(f"{client.url} refuses this service's key (UPSTREAM_API_KEY).")
        if health.status not in (200, 404) or models.status != 200:
            raise _NotServing(f"/health says {health.status}, /v1/models {models.status}")
        try:
            wanted, any_name = self._wanted()
            facts = recognise(models.body, wanted, any_name=any_name)
        except NoSuchModel as error:
            names = f"UPSTREAM_MODEL must be one of: {error}"
            raise ModelLoadFailed(f"{client.url} serves several models, none of this name. {names}.") from None
        except msgspec.DecodeError:
            raise ModelLoadFailed(f"{client.url} is no OpenAI server: its /v1/models is no list.") from None
        return self._with_vision(await _with_props(client, facts))

    def _with_vision(self, facts: ServerFacts) -> ServerFacts:
        """The operator's word counts more than the server's."""
        said = self._settings.upstream_vision
        return facts if said == "auto" else replace(facts, reads_images=said == "true")

    def _wanted(self) -> tuple[str, bool]:
        """The model's name there, and whether any other will do if it is the only one."""
        default = self._model == self._settings.default_model
        theirs = self._settings.upstream_model if default and self._settings.upstream_url else ""
        return theirs or self._model, default or not self._settings.upstream_url


async def _with_props(client: Client, facts: ServerFacts) -> ServerFacts:
    """llama-server tells how many answers it computes together (the others wait in our queue), and its template."""
    if facts.dialect is not LLAMA_SERVER:
        return facts
    props = await client.get("/props", _REQUEST_S)
    found = msgspec.json.decode(props.body, type=_Props) if props.status == 200 else _Props()
    return replace(
        facts,
        slots=found.total_slots,
        template=found.chat_template,
        takes_tools=found.chat_template_caps.supports_tools,
        reads_images=found.modalities.vision,
    )


async def _warm_up(client: Client, facts: ServerFacts) -> None:
    """One token by the real thing. A server without /v1/completions counts as serving."""
    body = msgspec.json.encode({"model": facts.model, "prompt": "Hello", "max_tokens": 1})
    reply = await client.post("/v1/completions", body, _WARM_UP_S)
    if reply.status >= 500:
        raise _NotServing(f"its first answer is {reply.status}")
    if reply.status != 200:
        logs.model.warning("the upstream server's first answer is {}: {}", reply.status, reply.body[:200])


async def _then(finish: asyncio.Event, idle: asyncio.Event) -> ExitCode:
    """Another has taken over: what is open is ended first."""
    await finish.wait()
    await idle.wait()
    return ExitCode.OK


class _Caps(msgspec.Struct):
    supports_tools: bool = True


class _Modalities(msgspec.Struct):
    vision: bool | None = None


class _Props(msgspec.Struct):
    total_slots: int | None = None
    chat_template: str | None = None
    chat_template_caps: _Caps = msgspec.field(default_factory=_Caps)
    modalities: _Modalities = msgspec.field(default_factory=_Modalities)


class _NotServing(Exception):
    """It answers, but does not serve yet."""


def arguments(model: str, engine: selection.Engine, settings: Settings, port: int) -> tuple[str, ...]:
    """The command line of the upstream server.

    Raises:
        ModelLoadFailed: when its model or program is not there.
    """
    if engine == "llama.cpp":
        source = str(selection.gguf_file(model, settings.models_path))
    else:
        source = str(model_folder(model, settings.models_path) or model)
    values = {
        "model": source,
        "name": model,
        "host": command.HOST,
        "port": str(port),
        "context": str(settings.max_model_len or ""),
        "parallel": str(settings.max_num_seqs),
    }
    return command.fill(command.template("vllm" if engine == "vllm" else "llama.cpp", settings), values)
