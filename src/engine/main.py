"""The engine process, `python -m src.engine.main --model NAME` (or `--standby`, which is told the name later): one
model, MLX on the main thread, I/O on another.

Started by the supervisor. It ends by itself when its parent does, and on a failed step: a process that failed once is
replaced, not repaired. SIGTERM ends it after the step; SIGUSR1 when nothing is left to do, for another has taken over.
What it leaves undone then is handed over: the next engine goes on with it.
"""

from __future__ import annotations

import argparse
import faulthandler
import os
import signal
import sys
import time
from typing import NoReturn

import numpy as np
from loguru import logger

from src import logs, selection
from src.engine import loading, standby
from src.engine.backend import Backend, PictureReader
from src.engine.calibration import CalibrationStore, calibrate
from src.engine.progress import LoadMeter
from src.engine.revision import FilesChanged
from src.engine.scheduler import Scheduler
from src.engine.server import EngineServer
from src.errors import ExitCode, ModelLoadFailed, ServiceError
from src.gpu import device_lock, get_global_manager
from src.gpu.faults import of_gpu
from src.ipc import lifeline, runtime
from src.ipc.messages.base import Fallback
from src.ipc.messages.chat import Sampling
from src.ipc.server import AddressInUse
from src.settings import Settings, SettingsError, load

_LINGER_S = 10.0  # ended as soon as the failure is reported; a loaded machine may take seconds for it
_WARM_UP_TOKENS = 4
_WARM_UP_PROMPT = list(range(1, 9))  # ids every vocabulary has


def main(argv: list[str]) -> ExitCode:
    options = _parser().parse_args(argv)
    try:
        settings = load()
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return ExitCode.CONFIG
    logs.configure("engine", settings, settings.level)
    faulthandler.enable()  # SIGABRT from the supervisor dumps all stacks
    lifeline.die_with_parent()  # also while it hangs
    if options.standby:
        order = standby.wait_for_model(settings)
        if order is None:
            return ExitCode.PARENT_GONE
        options = _parser().parse_args(order.arguments)
    lifeline.watch(lambda: os._exit(ExitCode.PARENT_GONE))
    if options.on_cpu:
        settings = settings.model_copy(update={"device_type": "cpu"})
    return _serve(options.model, settings, beside=options.beside, fallback="cpu" if options.on_cpu else None)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m src.engine.main")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--model", help="model name, as DEFAULT_MODEL takes it")
    which.add_argument("--standby", action="store_true", help="import everything and wait for a model's name")
    parser.add_argument("--beside", action="store_true", help="another serves it still: listen beside its socket")
    parser.add_argument("--on-cpu", action="store_true", help="compute there whatever DEVICE_TYPE says, and tell")
    return parser


def _serve(model: str, settings: Settings, *, beside: bool, fallback: Fallback | None) -> ExitCode:
    chosen = selection.select(model, settings)
    logs.model.info("{} is served by {}: {}", model, chosen.engine, chosen.why)
    for name in selection.unmet(chosen.engine, settings):
        logs.model.warning("{}: the engine {} cannot do that, and serves without", name, chosen.engine)
    try:
        socket = runtime.engine_socket(runtime.prepare(settings.runtime_path), model)
        path = runtime.beside(socket) if beside else socket
        if chosen.engine in selection.UPSTREAM:
            from src.engine.upstream.main import run

            return run(path, model, chosen.engine, settings)
        server = EngineServer(path, model, settings, progress := LoadMeter(), fallback)
        server.start()
    except runtime.RuntimeDirError as error:
        logger.error("{}", error)
        return ExitCode.CONFIG
    except AddressInUse:
        logger.error("another engine serves {}", model)
        return ExitCode.ALREADY_RUNNING
    try:
        return _load_and_run(model, settings, server, progress)
    finally:
        server.stop()


def _load_and_run(model: str, settings: Settings, server: EngineServer, progress: LoadMeter) -> ExitCode:
    signal.signal(signal.SIGTERM, lambda *_: _give_up(server))  # loading can be given up at any point
    store = CalibrationStore(settings.state_path / "calibration")
    loaded = _loaded(model, settings, server, progress, store)
    return loaded if isinstance(loaded, ExitCode) else _run(loaded, model, settings, server, store)


def _loaded(
    model: str, settings: Settings, server: EngineServer, progress: LoadMeter, store: CalibrationStore
) -> Backend | ExitCode:
    """The model, loaded and warm; or why not, said to whoever asks."""
    try:
        progress.step()  # what an engine imports is in
        backend = _load(model, settings, progress, store)
        progress.step()
        warm_up(backend, progress)
        calibrate(backend, store.cost, settings.prefill_step_size)
    except ModelLoadFailed as error:
        logs.model.error("{}", error.message)
        server.failed(error, _LINGER_S)
        return ExitCode.MODEL
    except MemoryError as error:
        logs.model.error("{}", error)
        server.postponed(str(error), _LINGER_S)
        return ExitCode.NO_MEMORY
    except FilesChanged as error:
        logs.model.warning("{}", error)
        server.postponed(str(error), _LINGER_S)
        return ExitCode.ENGINE_FAULT
    except Exception as error:  # noqa: BLE001  # process boundary, as below
        return _unfit(error, model, server)
    return backend


def _run(backend: Backend, model: str, settings: Settings, server: EngineServer, store: CalibrationStore) -> ExitCode:
    scheduler = Scheduler(
        backend,
        max_num_seqs=settings.max_num_seqs,
        prefill_step_size=settings.prefill_step_size,
        publish=server.publish,
        clock=time.monotonic,
        priority_ageing_s=settings.priority_ageing,
        prefill_pause_s=settings.prefill_pause,
        tidy_every_s=settings.memory_tidy_interval,
        weights=_Managed(model),
        cost=store.cost,
        keep_cost=store.keep_soon,
        device=device_lock.turns(settings, "cpu" if backend.device.kind == "cpu" else "gpu"),
    )
    try:
        server.ready(backend, scheduler)
        logs.model.info("{} is ready: {}", model, backend.info)
        signal.signal(signal.SIGTERM, lambda *_: scheduler.stop())
        signal.signal(signal.SIGUSR1, lambda *_: scheduler.finish())
        scheduler.run()
        server.hand_over()
    except Exception as error:  # noqa: BLE001  # process boundary: clients see the connection close, the supervisor the code
        return _fault(error)
    backend.close()
    return ExitCode.OK


def _unfit(error: Exception, model: str, server: EngineServer) -> ExitCode:
    """The warm-up failed: tried again only where it was the GPU or the memory."""
    if of_gpu(error):
        return _fault(error)
    failure = _verdict(error, model)
    server.failed(failure, _LINGER_S)
    return ExitCode.MODEL


def _fault(error: Exception) -> ExitCode:
    logs.model.opt(exception=error).error("engine step failed, exiting for a restart")
    return ExitCode.GPU_FAULT if of_gpu(error) else ExitCode.ENGINE_FAULT


def _give_up(server: EngineServer) -> NoReturn:
    server.hand_over()
    sys.exit(ExitCode.OK)


def _load(model: str, settings: Settings, progress: LoadMeter, store: CalibrationStore) -> Backend:
    try:
        return get_global_manager().get_model(lambda: loading.load(model, settings, progress, store), model)
    except (ModelLoadFailed, MemoryError, FilesChanged):
        raise
    except Exception as error:  # noqa: BLE001  # a checkpoint can make a loader raise anything
        raise (error if of_gpu(error) else _verdict(error, model)) from None


def _verdict(error: Exception, model: str) -> ModelLoadFailed:
    """Trying again will not help. What a library said counts, where an error of ours stands before it."""
    error = error.__cause__ if isinstance(error, ServiceError) and isinstance(error.__cause__, Exception) else error
    logs.model.opt(exception=error).error("loading {} failed", model)
    reason = " ".join(str(error).split())[:300]
    return ModelLoadFailed(f"The model {model!r} cannot run here: {type(error).__name__}: {reason} (logs/errors.log)")


class _Managed:
    """The model's weights, moved by the library's manager: its books are kept the same way in every program."""

    def __init__(self, model: str) -> None:
        self._model = model

    def to_host(self) -> None:
        get_global_manager().force_offload(self._model)

    def to_device(self) -> None:
        get_global_manager().get_model(_unloaded, self._model)


def _unloaded() -> Backend:
    raise RuntimeError("the manager has released the model")


def warm_up(backend: Backend, progress: LoadMeter) -> None:
    """A short generation by the real thing: kernels are compiled, buffers allocated, a broken model is found.

    A vision model sees a picture as well.
    """
    if backend.info.kind != "chat":
        _embed_once(backend)
        return
    _generate(backend, _WARM_UP_PROMPT, None, progress)
    if isinstance(backend, PictureReader):
        _generate(backend, *backend.picture_sample(), progress)


def _generate(backend: Backend, prompt: list[int], media: object | None, progress: LoadMeter) -> None:
    backend.insert(prompt, _WARM_UP_TOKENS, Sampling(temperature=0.0), media=media)
    while not any(token.finish for token in backend.step().tokens):
        progress.step()


def _embed_once(backend: Backend) -> None:
    """What a model that makes vectors alone is tried with; a vector that is none raises."""
    if (embedder := backend.embedder) is None:
        raise RuntimeError("the model makes no vectors")
    trial = embedder.begin([_WARM_UP_PROMPT])
    while trial.left:
        trial.compute(trial.left)
    if not np.isfinite(trial.vectors()).all():
        raise ArithmeticError("the vector of a short text is not finite")


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stderr.flush()
    os._exit(code)  # native threads must not get a chance to hang the exit
