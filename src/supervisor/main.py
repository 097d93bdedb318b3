"""The supervisor process: starts the service's processes, keeps them alive, stops them in order.

Called by `cli.py`. Plain asyncio, never monkey-patched; imports neither MLX nor Flask. Signal handlers and the control
socket only leave orders; each child's own task acts on them.
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import psutil
from loguru import logger

from src import keys, logs
from src.errors import ExitCode
from src.ipc import runtime
from src.ipc.messages.status import SystemStatus
from src.ipc.server import AddressInUse, Server
from src.settings import (
    ROOT,
    SUPERVISED,
    VERSION,
    WEB_FD,
    Settings,
    SettingsError,
    listen_fd,
    load,
    notify_socket,
    process_environment,
)
from src.supervisor import control, lock, port, specs
from src.supervisor.child import Child
from src.supervisor.children import Children
from src.supervisor.engines import EngineProcesses
from src.supervisor.gpus import Gpus
from src.supervisor.janitor import Janitor
from src.supervisor.models import ModelTable
from src.supervisor.notify import Notifier
from src.supervisor.processes import LocalLauncher, lives
from src.supervisor.readings import Sampler
from src.supervisor.reload import Sources, concerned
from src.supervisor.runtime_keeper import RuntimeKeeper
from src.supervisor.specs import ChildSpec

_PORT_WAIT_S = 5.0  # the web of a supervisor that was killed needs a moment to end
_LIFELINE_S = 0.5
_RUNTIME_S = 0.5
_RELOAD_S = 1.0
_ALIVE_S = 5.0
_TIDY_S = 30.0
_READINGS_S = 30.0


def run(
    settings: Settings,
    *,
    with_web: bool,
    reload: bool = False,
    lifeline: int | None = None,
    table: tuple[ChildSpec, ...] | None = None,
) -> ExitCode:
    """Serve until told to stop. `lifeline`: a process whose end is ours. `table`: what to run, if not the service."""
    try:
        logs.configure("supervisor", settings, settings.level)
        directory = runtime.prepare(settings.runtime_path)
    except (runtime.RuntimeDirError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return ExitCode.CONFIG
    try:
        with lock.hold(runtime.lock_file(directory)) as held:
            _no_core_dumps()
            wanted = table or specs.service(settings, directory, with_web=with_web)
            keeper = RuntimeKeeper(directory, held)
            return asyncio.run(_serve(settings, directory, wanted, _Options(with_web, reload, lifeline, keeper)))
    except SettingsError as error:  # a GPU that is asked for and not there
        logger.error("{}", error)
        return ExitCode.CONFIG
    except lock.AlreadyRunning as error:
        return _refuse(str(error))
    except AddressInUse as error:  # it holds the lock of a file that someone deleted
        return _refuse(f"another instance answers on {error}")


def _refuse(why: str) -> ExitCode:
    sys.stderr.write(f"{why}. `python run.py status` shows it, `python run.py stop` ends it.\n")
    return ExitCode.ALREADY_RUNNING


@dataclass(frozen=True)
class _Options:
    with_web: bool
    reload: bool
    lifeline: int | None
    keeper: RuntimeKeeper | None = None


def _no_core_dumps() -> None:
    """A hung engine is ended by SIGABRT. Its core would be as large as its model, and hold its users' text."""
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))


async def _serve(settings: Settings, directory: Path, table: tuple[ChildSpec, ...], options: _Options) -> ExitCode:
    return await Supervisor(settings, directory, options).serve(table)


class Supervisor:
    """Ties the parts together. Everything here runs in the event loop's thread."""

    def __init__(self, settings: Settings, directory: Path, options: _Options) -> None:
        self._settings = settings
        self._directory = directory
        self._options = options
        self._started_at = time.monotonic()
        self._over = asyncio.Event()
        self._verdict = ExitCode.OK
        self._announced = self._settled = False
        self._notifier = Notifier(notify_socket())
        self._duties: list[asyncio.Task[None]] = []
        # what dev mode changes is not in the children's environment yet
        debug = {"DEBUG": "true", "GRACEFUL_TIMEOUT": str(settings.graceful_timeout)} if settings.debug else {}
        held = {WEB_FD: str(listen_fd())} if listen_fd() is not None else {}
        self._gpus = Gpus(settings)
        changes = {SUPERVISED: "1"} | debug | held | self._gpus.environment
        self._children = Children(
            LocalLauncher(lambda kind: process_environment(kind, settings, **changes)),
            settings,
            on_change=self._changed,
            on_fault=lambda: self._end(ExitCode.FAILURE),
        )
        self.models = ModelTable(
            settings,
            EngineProcesses(self._children, settings, directory),
            memory_bytes=self._gpus.memory_bytes() or psutil.virtual_memory().total,
            others_busy=self._ocr_busy,
        )

    async def serve(self, table: tuple[ChildSpec, ...]) -> ExitCode:
        self._listen_to_signals()
        server = Server(runtime.control_socket(self._directory), control.answering(self))
        await server.start()
        self._remove_stale_sockets()
        try:
            if await self._port_is_free() and not self._over.is_set():
                self._begin(table)
                await self._over.wait()
                self._notifier.stopping()
                logger.info("stopping")
            self.models.close()
            await self._children.drain()
        finally:
            self.models.close()
            for duty in self._duties:
                duty.cancel()
            self._children.kill()
            self._gpus.close()
            self._remove_stale_sockets()
            await server.close()
        logger.info("stopped")
        return self._verdict

    def status(self) -> SystemStatus:
        uptime_s = time.monotonic() - self._started_at
        return SystemStatus(
            VERSION,
            os.getpid(),
            uptime_s,
            self._children.status(),
            self._gpus.sample(),
            self.models.status(),
            self.models.background_paused,
            self._children.restarts(),
        )

    def stop(self) -> None:
        self._end(ExitCode.OK)

    def restart(self, child: str) -> bool:
        return self._children.restart(child)

    # ---- start

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._told_to_stop)
        loop.add_signal_handler(signal.SIGHUP, self._renew_web)

    def _remove_stale_sockets(self) -> None:
        """What killed back ends left. None of ours runs before the start and after the end."""
        for path in self._directory.glob("*.sock"):
            if path != runtime.control_socket(self._directory):
                path.unlink(missing_ok=True)

    async def _port_is_free(self) -> bool:
        if not self._options.with_web or listen_fd() is not None:
            return True
        why = await port.wait_until_free(self._settings.host, self._settings.port, _PORT_WAIT_S)
        if why:
            logger.error("cannot listen on {}; set PORT, or stop who uses it", why)
            self._verdict = ExitCode.FAILURE
        return why is None

    def _begin(self, table: tuple[ChildSpec, ...]) -> None:
        self._gpus.announce()
        for spec in table:
            self._children.add(spec)
        self.models.begin()
        rounds = asyncio.get_running_loop().create_task(self.models.run())
        rounds.add_done_callback(self._rounds_ended)
        self._duties.append(rounds)
        self._every(_ALIVE_S, self._feed_watchdog)
        if self._options.keeper is not None:
            self._every(_RUNTIME_S, self._check_with(self._options.keeper))
        sampler = Sampler(self._settings.log_path if self._settings.enable_log_file else ROOT)
        self._every(_READINGS_S, lambda: self._log_readings(sampler))
        self._every(_TIDY_S, self._tidy_with(Janitor(self._settings.log_path, self._settings, time.time)), thread=True)
        if self._options.reload:
            sources = Sources(ROOT / "src")
            self._every(_RELOAD_S, lambda: self._reload(sources))
        if self._options.lifeline is not None:
            self._every(_LIFELINE_S, self._end_without(self._options.lifeline))

    def _every(self, seconds: float, duty: Callable[[], None], *, thread: bool = False) -> None:
        async def repeat() -> None:
            while True:
                await asyncio.sleep(seconds)
                try:
                    await (asyncio.to_thread(duty) if thread else _now(duty))
                except Exception:  # noqa: BLE001  # process boundary: a side duty must never cost the service
                    logger.exception("a duty of the supervisor failed")

        self._duties.append(asyncio.get_running_loop().create_task(repeat()))

    # ---- what happens meanwhile

    def _changed(self, child: Child) -> None:
        """A child is in a new state."""
        if child.spec.model is not None:
            end = child.last_end
            stalled = child.state == "starting" and end is not None and end.reason == "start"
            why = child.status().detail or (end.detail if end is not None else None)
            self.models.changed(child.spec.model, child.state, why, stalled=stalled)
        if child.state == "failed" and not self._settled and _is_config(child):
            self._end(ExitCode.CONFIG)  # it printed what is wrong; waiting will not mend it
        if not self._announced and self._children.all_in("ready"):
            self._announced = True
            seconds = time.monotonic() - self._started_at
            logger.info("{} after {:.1f} s", self._where(), seconds)
        if not self._settled and self._children.all_in("ready", "failed"):
            # a service whose engine failed is up as well: it says why over HTTP, and heals by itself
            self._settled = True
            self._notifier.ready(self._where())
            if not self._announced:
                logger.warning("up, but not whole: `python run.py status` says what failed")

    def _rounds_ended(self, task: asyncio.Task[None]) -> None:
        """Without rounds every request would wait in vain: better a new supervisor."""
        if not task.cancelled() and (error := task.exception()):
            logger.opt(exception=error).error("the task that decides where models are failed")
            self._end(ExitCode.FAILURE)

    def _where(self) -> str:
        return f"ready on {specs.base_url(self._settings)}" if self._options.with_web else "back ends are ready"

    def _told_to_stop(self) -> None:
        if self._over.is_set():
            logger.warning("told to stop again: killing all processes")
            self._children.kill()
        self.stop()

    def _end(self, verdict: ExitCode) -> None:
        if not self._over.is_set():
            self._verdict = verdict
            self._over.set()

    def _renew_web(self) -> None:
        """SIGHUP: new web workers with new settings; the engine is not touched."""
        try:
            keys.load(load())
        except SettingsError as error:  # gunicorn's master would end on them
            logger.error("web is not reloaded, these settings are wrong: {}", "; ".join(error.problems))
            return
        if self._children.in_state("web", "ready"):
            logger.info("web is reloaded")
            self._children.signal("web", signal.SIGHUP)

    def _reload(self, sources: Sources) -> None:
        files = sources.changed()
        names = concerned(files)
        if files:
            logger.info("{} changed: renewing {}", ", ".join(map(str, sorted(files))), sorted(names) or "nothing")
        if names == {"web"} and self._children.in_state("web", "ready"):
            self._renew_web()
        else:
            for name in sorted(names):
                self._children.restart_kind(name)

    def _end_without(self, pid: int) -> Callable[[], None]:
        try:
            process = psutil.Process(pid)
        except psutil.NoSuchProcess:
            process = None

        def check() -> None:
            if process is None or not lives(process):
                logger.info("process {} is gone, and we go with it", pid)
                self.stop()

        return check

    def _check_with(self, keeper: RuntimeKeeper) -> Callable[[], None]:
        def check() -> None:
            try:
                removed = keeper.check()
            except (runtime.RuntimeDirError, lock.AlreadyRunning, OSError) as error:
                logger.error("{} was removed and cannot be made again: {}; ending", self._directory, error)
                return self._end(ExitCode.RUNTIME_LOST)
            if removed:
                logger.warning("{} was removed while running and is made again (RUNTIME_DIR)", self._directory)
                self._children.restart_kind(specs.OCR)  # its spool and its jobs were in it
            for name in keeper.unreachable(self._children.sockets()):
                logger.warning("the socket of {} is gone and stays away: restarting it", name)
                self._children.restart(name)
            return None

        return check

    def _tidy_with(self, janitor: Janitor) -> Callable[[], None]:
        def tidy() -> None:
            lock.refresh(runtime.lock_file(self._directory))
            if self._settings.enable_log_file:
                janitor.tidy()

        return tidy

    def _ocr_busy(self) -> bool:
        ocr = self._children.status_of(specs.OCR)
        load = ocr.health.ocr if ocr is not None and ocr.health is not None else None
        return load is not None and load.busy + load.waiting > load.background

    def _feed_watchdog(self) -> None:
        if overdue := self._children.overdue():
            logger.error("no heartbeat of {} and nothing done about it: not feeding the watchdog", ", ".join(overdue))
        else:
            self._notifier.alive()

    def _log_readings(self, sampler: Sampler) -> None:
        reading = sampler.sample(self._children.status(), self._gpus.sample())
        logs.system.bind(**msgspec.to_builtins(reading)).info("readings")


async def _now(duty: Callable[[], None]) -> None:
    duty()


def _is_config(child: Child) -> bool:
    return child.last_end is not None and child.last_end.status == ExitCode.CONFIG
