"""The specs of the service's processes. Data only: `child.py` supervises each, `main.py` holds the table."""

from __future__ import annotations

import ipaddress
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from src.ipc import runtime
from src.settings import ProcessKind, Settings, listen_fd

ENGINE, OCR, STANDBY = "engine", "ocr", "standby"
_ENGINE_COMMAND = (sys.executable, "-m", "src.engine.main")

# gunicorn kills its workers itself at GRACEFUL_TIMEOUT; the supervisor waits a little longer
_WEB_MARGIN_S = 5.0
# gunicorn's master replaces a hung worker; web is replaced as a whole only after several missed heartbeats
_WEB_MISSES = 3


@dataclass(frozen=True)
class ChildSpec:
    """One process: how it is started, probed and stopped. `address`: its socket's path, or the URL to GET.

    Lower `stop_order` stops first. `misses`: consecutive heartbeats that may fail before it counts as hung.
    `without_gpu`: added to `argv` once GPU faults have opened the breaker; None without a fallback.
    """

    name: str
    argv: tuple[str, ...]
    address: Path | str
    stop_order: int
    stop_grace_s: float
    misses: int = 1
    stream: str = "app"
    model: str | None = None  # for the probe generation
    pass_fds: tuple[int, ...] = ()
    without_gpu: tuple[str, ...] | None = None

    @property
    def kind(self) -> ProcessKind:
        """The kind of process, which selects its settings."""
        if self.model is not None or self.name.partition(":")[0] in (ENGINE, STANDBY):
            return "engine"
        return "ocr" if self.name == OCR else "web"


def service(settings: Settings, directory: Path, *, with_web: bool) -> tuple[ChildSpec, ...]:
    """The configured processes except engines, which come and go with their models."""
    specs = []
    if settings.ocr_workers != 0:
        specs.append(_ocr(settings, directory))
    if with_web:
        specs.append(_web(settings))
    return tuple(specs)


def beside(spec: ChildSpec) -> ChildSpec:
    """The same process as a standby, on a socket beside the first one's."""
    if not isinstance(spec.address, Path):
        raise ValueError(f"{spec.name} has no socket, so it cannot have a standby")
    return replace(spec, argv=(*spec.argv, "--beside"), address=runtime.beside(spec.address))


def base_url(settings: Settings) -> str:
    """The URL of web on this machine."""
    host = _loopback_of_wildcard(settings.host)
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"


def _loopback_of_wildcard(host: str) -> str:
    """The loopback address for a wildcard address or an empty host; any other host as it is."""
    try:
        address = ipaddress.ip_address(host or "::ffff:0.0.0.0")
    except ValueError:
        return host
    if host and not address.is_unspecified:
        return host
    return "::1" if host and address.version == 6 else "127.0.0.1"


def engine_name(model: str) -> str:
    """The name of a model's process in the table."""
    return f"{ENGINE}:{model}"


def engine(settings: Settings, directory: Path, model: str) -> ChildSpec:
    return ChildSpec(
        name=engine_name(model),
        argv=(*_ENGINE_COMMAND, "--model", model),
        address=runtime.engine_socket(directory, model),
        stop_order=2,
        stop_grace_s=settings.stop_timeout,
        stream="model",
        model=model,
        without_gpu=("--on-cpu",) if settings.gpu_fallback == "cpu" else None,
    )


def engine_standby(settings: Settings, directory: Path) -> ChildSpec:
    """An engine process without a model: `engine_arguments` make it any model's."""
    return ChildSpec(
        name=STANDBY,
        argv=(*_ENGINE_COMMAND, "--standby"),
        address=runtime.standby_socket(directory),
        stop_order=2,
        stop_grace_s=settings.stop_timeout,
        stream="model",
    )


def engine_arguments(spec: ChildSpec) -> tuple[str, ...] | None:
    """What an engine's command line says beside the program; None for another program, or behind a launcher."""
    length = len(_ENGINE_COMMAND)
    return spec.argv[length:] if spec.model is not None and spec.argv[:length] == _ENGINE_COMMAND else None


def _ocr(settings: Settings, directory: Path) -> ChildSpec:
    return ChildSpec(
        name=OCR,
        argv=(sys.executable, "-m", "src.ocr.main"),
        address=runtime.ocr_socket(directory),
        stop_order=1,
        stop_grace_s=settings.stop_timeout,
    )


def _web(settings: Settings) -> ChildSpec:
    return ChildSpec(
        name="web",
        argv=(sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", "src.api.app:application"),
        address=f"{base_url(settings)}/livez",
        stop_order=0,
        stop_grace_s=settings.graceful_timeout + _WEB_MARGIN_S,
        misses=_WEB_MISSES,
        pass_fds=() if (held := listen_fd()) is None else (held,),
    )
