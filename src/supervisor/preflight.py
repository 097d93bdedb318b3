"""`run.py check`: what this machine offers and whether the service can run here. Called by `commands/check.py`.

MLX is never imported here: `src.engine.check` reports on the engine from its own process.
"""

from __future__ import annotations

import ctypes
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from shutil import which

import msgspec
import psutil

from src import installation
from src.effective_settings import masked
from src.gpu import mlx_library
from src.ipc import client, runtime
from src.ipc.messages.control import StatusRequest
from src.ipc.messages.status import SystemStatus
from src.ocr import engine_choice
from src.settings import ROOT, VERSION, Settings, SettingsError, process_environment
from src.state import file as state_file
from src.supervisor import port
from src.supervisor.gpus import Gpus
from src.supervisor.table import gpu_lines, size

_ENGINE_DEADLINE_S = 60.0
_LEAST_MEMORY = 1_000_000_000
# pip installs both builds of OpenCV (docs/adr/0008), and the one for desktops last
_OPENCV = "Run: apt-get install libgl1 libglib2.0-0, or: pip install --force-reinstall --no-deps opencv-python-headless"
_OTEL_PACKAGES = ("opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http")
_OCR_PACKAGES = {"rapidocr": ("rapidocr", "onnxruntime"), "mlx_vlm": ("mlx_vlm",), "tesseract": (), "fake": ()}


@dataclass(frozen=True)
class Finding:
    """One line of the report. `problem`: why the service cannot serve because of it."""

    label: str
    value: str
    problem: str | None = None


def findings(settings: Settings) -> Iterator[Finding]:
    """All findings, yielded as they become known."""
    yield from _machine()
    environment: dict[str, str] = {}
    driver = None
    try:
        gpus = Gpus(settings)
        gpus.close()
        environment, sample = gpus.environment, gpus.sample()
        driver = sample.driver
        yield from (Finding("gpu", line) for line in gpu_lines(sample))
    except SettingsError as error:
        yield Finding("gpu", "does not match the settings", str(error))
    yield mlx_finding(mlx_library.examine(), driver)
    yield from _engine(settings, environment)
    yield _ocr(settings)
    yield from _folders(settings)
    yield from _traces(settings)
    yield _port(settings)
    yield from _batches(_running(settings))


def _machine() -> Iterator[Finding]:
    yield Finding("stoker", VERSION)
    yield Finding("platform", f"{platform.system()} {platform.release()} {platform.machine()}")
    yield Finding("python", f"{platform.python_version()} ({sys.executable})")
    yield Finding("processors", str(os.cpu_count()))
    memory = psutil.virtual_memory()
    short = None if memory.available >= _LEAST_MEMORY else f"under {size(_LEAST_MEMORY)} of memory is available"
    yield Finding("memory", f"{size(memory.available)} available of {size(memory.total)}", short)


def mlx_finding(library: mlx_library.Library, driver: str | None) -> Finding:
    """Which build of MLX is here, and what is wrong with it; another engine may serve all the same."""
    problems = (library.problem, mlx_library.driver_problem(library.name, driver))
    return Finding("mlx library", ". ".join(filter(None, (library.name or "none installed", *problems))))


def _engine(settings: Settings, environment: dict[str, str]) -> Iterator[Finding]:
    argv = [sys.executable, "-m", "src.engine.check", "--model", settings.default_model]
    try:
        done = subprocess.run(
            argv,
            cwd=ROOT,
            env=process_environment("engine", settings, **environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_ENGINE_DEADLINE_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        yield Finding("engine", "unknown", f"its check did not finish within {_ENGINE_DEADLINE_S:g} s")
        return
    yield from engine_findings(done.stdout, done.stderr)


def engine_findings(output: str, errors: str) -> Iterator[Finding]:
    """What `src.engine.check` printed: one JSON object as its last line."""
    lines = output.strip().splitlines() or [""]
    try:
        facts = msgspec.json.decode(lines[-1], type=dict[str, object])
    except msgspec.DecodeError:
        last = (errors.strip().splitlines() or ["it printed nothing"])[-1]
        yield Finding("engine", "unknown", f"its check failed: {last}")
        return
    problem = facts.pop("problem", None)
    yield Finding("engine", str(facts.pop("engine", "unknown")), str(problem) if problem else None)
    for key, value in facts.items():
        if value is not None:
            yield Finding(f"  {key.replace('_', ' ')}", str(value))


def _ocr(settings: Settings) -> Finding:
    if settings.ocr_workers == 0:
        return Finding("ocr", "off (OCR_WORKERS=0)")
    chosen = engine_choice.choose(settings)
    packages = _OCR_PACKAGES[chosen.engine]
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        return Finding("ocr", chosen.engine, f"not installed: {', '.join(missing)}")
    if chosen.engine == "rapidocr" and (unloadable := library_problem("cv2")) is not None:
        return Finding("ocr", chosen.engine, f"OpenCV does not load: {unloadable}. {_OPENCV}")
    if chosen.engine == "mlx_vlm" and not (engine_choice.model_path(settings) / "config.json").is_file():
        return Finding("ocr", chosen.engine, "OCR_MODEL is not a folder with a model")
    if chosen.engine == "tesseract" and which("tesseract") is None:
        return Finding("ocr", chosen.engine, "not installed: the program tesseract (Debian: tesseract-ocr)")
    versions = ", ".join(f"{name} {_version(name)}" for name in packages)
    return Finding("ocr", f"{versions or chosen.engine} ({chosen.why}), {settings.ocr_workers} workers")


def library_problem(package: str) -> str | None:
    """Why a package's compiled library does not load, without importing the package."""
    spec = find_spec(package)
    folder = Path(spec.origin).parent if spec is not None and spec.origin else None
    try:
        for library in sorted(folder.glob(f"{package}*.so")) if folder is not None else ():
            ctypes.CDLL(str(library))
    except OSError as error:
        return str(error)
    return None


def _traces(settings: Settings) -> Iterator[Finding]:
    if endpoint := settings.otel_exporter_otlp_endpoint:
        here = all(_is_installed(package) for package in _OTEL_PACKAGES)
        problem = None if here else f"OpenTelemetry is not installed: {installation.OTEL_COMMAND}"
        yield Finding("traces", masked("otel_exporter_otlp_endpoint", endpoint), problem)


def _is_installed(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # GPU builds of onnxruntime have other package names
        return "(version unknown)"


def _folders(settings: Settings) -> Iterator[Finding]:
    yield _runtime(settings.runtime_path)
    yield Finding("state", str(settings.state_path), state_file.conflict(settings.state_path))
    if settings.enable_log_file:
        yield _writable("logs", settings.log_path)
    models = settings.models_path
    missing = "models_dir" in settings.model_fields_set and not models.is_dir()
    yield Finding("models", str(models), f"{models} is not a folder" if missing else None)


def _runtime(directory: Path) -> Finding:
    try:
        return Finding("runtime", str(runtime.prepare(directory)))
    except (runtime.RuntimeDirError, OSError) as error:
        return Finding("runtime", str(directory), str(error))


def _writable(label: str, folder: Path) -> Finding:
    there = next(path for path in (folder, *folder.parents) if path.exists())
    usable = there.is_dir() and os.access(there, os.W_OK | os.X_OK)
    return Finding(label, str(folder), None if usable else f"{there} is not writable")


def _port(settings: Settings) -> Finding:
    why = port.problem(settings.host, settings.port)
    where = f"{settings.host}:{settings.port}"
    if why is None:
        return Finding("port", f"{where} is free")
    running = _running(settings)
    if running is not None:
        return Finding("port", f"{where}, in use by this service (supervisor pid {running.pid})")
    return Finding("port", where, why)


def _batches(running: SystemStatus | None) -> Iterator[Finding]:
    """What the self-check of each loaded model found: it is made at load, so that a service has to run."""
    loaded = [child.health.model for child in running.children if child.health is not None] if running else []
    for model in filter(None, loaded):
        verdict = "computed together" if model.batches else "one request at a time"
        why = model.batch_problem or "checked at load"
        yield Finding("batches", f"{model.name}: {verdict} ({why})")
    if not any(loaded):
        yield Finding("batches", "checked when a model loads; none is loaded")


def _running(settings: Settings) -> SystemStatus | None:
    try:
        answer = client.ask(runtime.control_socket(settings.runtime_path), StatusRequest(), 2.0)
    except client.Unanswered:
        return None
    return answer if isinstance(answer, SystemStatus) and answer.child("web") else None
