"""The web application: `application` for gunicorn, `create_app` for tests. Web process only; never imports MLX.

`python -m src.api.app` starts development mode.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from flask import Flask
from loguru import logger
from werkzeug.routing import PathConverter

from src import keys
from src.api import access_facts, error_handlers, owner, paths
from src.api.anthropic import messages
from src.api.batches import view as batches
from src.api.body import BodyMemory, BoundedBody
from src.api.cache import cache
from src.api.cache.cache import Cache
from src.api.cache.pdf_contents import PdfContents
from src.api.console import page as console
from src.api.edge import auth, cors, encodings, middleware
from src.api.edge.key_checker import KeyChecker
from src.api.edge.middleware import Uploads
from src.api.edge.rate_limits import RateLimits
from src.api.files import view as files
from src.api.generation.connections import Backends
from src.api.generation.inflight import InFlight
from src.api.instances import Instances, public_name
from src.api.ocr import jobs as ocr_jobs
from src.api.ocr import view as ocr
from src.api.ollama import library as ollama_library
from src.api.ollama import routes as ollama
from src.api.openai import chat, completions, conversations, disclosure, embeddings, rerank, responses
from src.api.operations import docs as pages
from src.api.operations import events, gpu, logs, models, system, usage
from src.api.operations.metrics import with_own
from src.api.service import EXTENSION, Service
from src.api.state.batches import BatchLoad
from src.api.state.database import Database
from src.api.status_feed import StatusFeed
from src.api.tracing import traces
from src.api.usage import job_pages
from src.api.usage.budgets import Budgets
from src.api.usage.job_pages import JobPages
from src.api.usage.ledger import UsageLedger
from src.metrics import Metrics
from src.settings import Settings, load


class _AnyPath(PathConverter):
    """The rest of a path, whatever it begins with."""

    regex = ".*?"
    part_isolating = False


_VIEWS = (
    chat,
    completions,
    messages,
    responses,
    conversations,
    embeddings,
    files,
    rerank,
    batches,
    usage,
    ocr,
    ocr_jobs,
    models,
    gpu,
    system,
    events,
    logs,
    pages,
    ollama,
    ollama_library,
    console,
)


def create_app(settings: Settings, backends: Backends | None = None) -> Flask:
    """Compose the application; `backends` can be replaced in tests."""
    backends = backends or Backends(settings)
    inflight, batch_load = InFlight(settings.max_concurrent_requests), BatchLoad()
    ring, state, tracing = keys.load(settings), Database(settings.state_path), traces.connect(settings)
    ledger = UsageLedger(state, settings.usage_days)
    budgets = Budgets(ring, settings, ledger)
    instances = Instances(settings, backends.status, backends.catalog)
    metrics = Metrics(lambda: with_own(backends.readings(), inflight, batch_load, budgets, instances))
    limits = RateLimits(settings, metrics, ledger, budgets)
    app = _bare_app()
    app.extensions[EXTENSION] = Service(
        settings,
        backends,
        inflight,
        metrics,
        limits,
        Cache(settings, backends.revision, metrics),
        PdfContents(settings.chat_pdf_cache_mb << 20, ocr.read_pages),
        state,
        ledger,
        JobPages(job_pages.asking(settings), ledger),
        budgets,
        batch_load,
        StatusFeed(backends.status, metrics.first_tokens),
        tracing,
        instances,
        started=time.time(),
    )
    backends.on_resume = partial(_count_resumed, metrics)
    error_handlers.register(app, partial(_keeper_of, instances))
    paths.install(app)
    middleware.install(app, metrics, _bodies(settings, inflight), settings.client_timeout, _uploads(settings), tracing)
    cors.install(app, settings)
    disclosure.install(app)
    checker = KeyChecker(ring, metrics, limits.count_failed_login, ledger.note_use)
    auth.install(app, checker, _salt_secret(settings))
    encodings.install(app)
    limits.install(app)
    cache.install(app)
    for module in _VIEWS:
        app.register_blueprint(module.blueprint)
    for name in backends.models:
        metrics.announce_model(name, backends.engine_name(name))
    return app


def _keeper_of(instances: Instances, sought: str) -> str | None:
    keeper = instances.keeper_of(sought)
    return keeper if keeper is None or auth.is_admin() else public_name(keeper)


def _bare_app() -> Flask:
    app = Flask(__name__, static_folder=None)
    app.url_map.merge_slashes = False  # a model may be a folder: its name begins with a slash
    app.url_map.converters["path"] = _AnyPath
    return app


def _count_resumed(metrics: Metrics, kind: str) -> None:
    metrics.resumed.labels(kind).inc()
    access_facts.current().resumed += 1


def _uploads(settings: Settings) -> Uploads:
    """Beside the file, a form's few fields."""
    return Uploads("/v1/files", (settings.file_max_mb << 20) + (1 << 20), settings.file_upload_timeout)


def _bodies(settings: Settings, inflight: InFlight) -> Callable[[Mapping[str, Any]], BoundedBody]:
    """How the body of a request is read."""
    memory = BodyMemory(max(settings.max_bodies_mb, settings.max_body_mb) << 20)
    limit, seconds = settings.max_body_mb << 20, settings.body_timeout
    return lambda environ: BoundedBody(
        environ["wsgi.input"], limit, seconds, inflight, memory, lambda: owner.of(environ)
    )


def _salt_secret(settings: Settings) -> bytes:
    """Of this process alone, unless what it keeps apart outlives it."""
    folder = settings.prefix_cache_path
    if folder is None:
        return secrets.token_bytes(keys.SECRET_BYTES)
    try:
        return keys.lasting_secret(folder / "secret")
    except OSError as error:
        logger.warning("PREFIX_CACHE_DIR cannot be used: {}", error)
        return secrets.token_bytes(keys.SECRET_BYTES)


if __name__ == "__main__":
    import os
    import sys

    from src.settings import ROOT

    os.chdir(ROOT)
    os.execv(sys.executable, [sys.executable, "run.py", "--mode", "dev"])  # noqa: S606  # our own interpreter

application = create_app(load())
