"""The web application: `application` for gunicorn, `create_app` for tests. Web process only; never imports MLX.

`python -m src.api.app` starts development mode.
"""

from __future__ import annotations

import time

from flask import Flask

from src.api import chat, error_handlers, hooks, models, ocr, ocr_jobs, system
from src.api.backends import Backends
from src.api.inflight import InFlight
from src.api.service import EXTENSION, Service
from src.metrics import Metrics
from src.settings import Settings, load


def create_app(settings: Settings, backends: Backends | None = None) -> Flask:
    """Compose the application; `backends` can be replaced in tests."""
    backends = backends or Backends(settings)
    metrics = Metrics(backends.readings)
    app = Flask(__name__, static_folder=None)
    app.extensions[EXTENSION] = Service(
        settings, backends, InFlight(settings.max_concurrent_requests), metrics, started=time.time()
    )
    backends.on_resume = lambda kind: metrics.resumed.labels(kind).inc()
    error_handlers.register(app)
    hooks.install(app, metrics, settings.max_body_mb << 20, settings.client_timeout)
    for module in (chat, ocr, ocr_jobs, models, system):
        app.register_blueprint(module.blueprint)
    for name in backends.models:
        metrics.announce_model(name, backends.engine_name())
    return app


if __name__ == "__main__":
    import os
    import sys

    from src.settings import ROOT

    os.chdir(ROOT)
    os.execv(sys.executable, [sys.executable, "run.py", "--mode", "dev"])  # noqa: S606  # our own interpreter

application = create_app(load())
