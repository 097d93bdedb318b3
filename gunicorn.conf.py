"""Gunicorn's settings, from ours. Read in gunicorn's master (unpatched) and again at SIGHUP."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import Any

from src import keys, logs
from src.errors import ExitCode
from src.settings import SettingsError, gevent_environment, load, web_fd

try:
    _settings = load()
except SettingsError as error:
    sys.stderr.write(f"{error}\n")
    sys.exit(ExitCode.CONFIG)

_host = f"[{_settings.host}]" if ":" in _settings.host else _settings.host
bind = f"{_host}:{_settings.port}" if web_fd() is None else f"fd://{web_fd()}"
worker_class = {"gevent": "src.api.process.worker.ServiceWorker"}[_settings.worker_class]
raw_env = gevent_environment()
workers = _settings.workers
worker_connections = _settings.worker_connections
timeout = 60  # of a blocked event loop, not of a request
graceful_timeout = int(_settings.graceful_timeout)
keepalive = int(_settings.keep_alive_timeout)
max_requests = 0  # recycling would cut streams that outlive graceful_timeout
preload_app = False  # the master is unpatched and must stay small
reload = False  # the supervisor watches the sources in dev mode
sendfile = False
limit_request_line = 8190
limit_request_fields = 64
limit_request_field_size = 8190
forwarded_allow_ips = "127.0.0.1"
header_map = "drop"
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108  # the heartbeat file, off the disk
control_socket_disable = True
logger_class = "src.api.process.worker.GunicornLogger"
loglevel = _settings.level.lower()
accesslog = None
proc_name = "stoker-web"


def on_starting(server: Any) -> None:
    """Whoever binds by `gunicorn -b` is asked for keys as well."""
    logs.configure("web-master", _settings, _settings.level)
    try:
        problems = [keys.exposure(_bound_host(address), _settings) for address in server.cfg.address]
    except SettingsError as error:
        problems = list(error.problems)
    if any(problems):
        sys.stderr.write("\n".join(filter(None, problems)) + "\n")
        sys.exit(ExitCode.CONFIG)


def _bound_host(address: Any) -> str:
    """A bound address is (host, port, …), the path of a Unix socket, or the number of a socket from systemd."""
    if isinstance(address, int):
        with socket.socket(fileno=os.dup(address)) as held:
            address = held.getsockname()
    return str(address[0]) if isinstance(address, tuple) else f"unix:{address}"


def post_worker_init(worker: Any) -> None:
    # imported here: the master must load nothing that expects gevent's patches
    from src.api.process import lifetime  # noqa: PLC0415

    logs.configure("web", _settings, _settings.level)
    lifetime.after_init(worker)
