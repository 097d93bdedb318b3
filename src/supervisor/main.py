"""The supervisor process: starts the service's processes, restarts them when they fail, stops them in order.

Called by `cli.py`. Plain asyncio, never monkey-patched; imports neither MLX nor Flask. Signal handlers and the control
socket only set the desired state; each child's own task acts on it.
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec
import psutil
from loguru import logger

from src import keys, logs
from src.effective_settings import effective
from src.errors import ExitCode
from src.gpu import memory_plan, power
from src.gpu.power import PowerReading
from src.installation import command
from src.ipc import runtime
from src.ipc.messages.control import SettingsTable
from src.ipc.messages.status import SystemStatus
from src.ipc.server import AddressInUse, Server
from src.settings import (
    ROOT,
    SUPERVISED,
    VERSION,
    WEB_FD,
    Settings,
    SettingsError,
    home,
    listen_fd,
    load,
    notify_socket,
    process_environment,
)
from src.supervisor import control, instance, lock, port, specs
from src.supervisor.child import Child
from src.supervisor.children import Children
from src.supervisor.earlier import StartedProcesses, kill_earlier
from src.supervisor.engine_standby import StandbyKeeper, StandbyLauncher
from src.supervisor.engines import EngineProcesses
from src.supervisor.gpus import Gpus
from src.supervisor.janitor import Janitor
from src.supervisor.models import ModelTable
from src.supervisor.notify import Notifier
from src.supervisor.processes import LocalLauncher, is_alive
from src.supervisor.readings import Sampler
from src.supervisor.reload import Sources, affected_processes
from src.supervisor.runtime_keeper import RuntimeKeeper
from src.supervisor.sleep import SleepAssertion
from src.supervisor.specs import ChildSpec

_PORT_WAIT_S = 5.0  # after a supervisor was killed, its web needs time to exit
_PARENT_CHECK_S = 0.5
_RUNTIME_CHECK_S = 0.5
_RELOAD_S = 1.0
_STANDBY_CHECK_S = 0.5
_WATCHDOG_S = 5.0
_LOG_ROTATION_S = 30.0
_READINGS_S = 30.0


def run(
    settings: Settings,
    *,
    with_web: bool,
    reload: bool = False,
    lifeline: int | None = None,
    table: tuple[ChildSpec, ...] | None = None,
) -> ExitCode:
    """Serve until stopped. `lifeline`: pid of a parent to exit with. `table`: what to run instead of the service."""
    try:
        home().mkdir(mode=0o700, parents=True, exist_ok=True)
        logs.configure("supervisor", settings, settings.level)
        directory = runtime.prepare(settings.runtime_path)
    except (runtime.RuntimeDirError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return ExitCode.CONFIG
    try:
        with lock.hold(runtime.lock_file(directory)) as held:
            _no_core_dumps()
            kill_earlier(directory)
            wanted = table or specs.service(settings, directory, with_web=with_web)
            keeper = RuntimeKeeper(directory, held)
            options = _Options(with_web, reload, lifeline, keeper, standby=table is None)
            return asyncio.run(_serve(settings, directory, wanted, options))
    except SettingsError as error:  # a required GPU is missing
        logger.error("{}", error)
        return ExitCode.CONFIG
    except lock.AlreadyRunning as error:
        return _refuse(str(error))
    except AddressInUse as error:  # it holds the lock of a deleted file
        return _refuse(f"another instance answers on {error}")


def _refuse(why: str) -> ExitCode:
    sys.stderr.write(f"{why}. `{command('status')}` shows it, `{command('stop')}` stops it.\n")
    return ExitCode.ALREADY_RUNNING


@dataclass(frozen=True)
class _Options:
    with_web: bool
    reload: bool
    lifeline: int | None
    keeper: RuntimeKeeper | None = None
    standby: bool = False


def _no_core_dumps() -> None:
    """A hung engine gets SIGABRT; its core dump would be as large as the model and contain prompts."""
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))


async def _serve(settings: Settings, directory: Path, table: tuple[ChildSpec, ...], options: _Options) -> ExitCode:
    return await Supervisor(settings, directory, options).serve(table)


class Supervisor:
    """Owns all parts. Everything here runs in the event loop's thread."""

    def __init__(self, settings: Settings, directory: Path, options: _Options) -> None:
        self._settings = settings
        self._directory = directory
        self._options = options
        self._started_at = time.monotonic()
        self._stopping, self._hurried = asyncio.Event(), asyncio.Event()
        self._notice_s = 0.0 if settings.debug else settings.drain_notice
        self._exit_code = ExitCode.OK
        self._announced_ready = self._startup_done = False
        self._notifier = Notifier(notify_socket())
        self._tasks: list[asyncio.Task[None]] = []
        # dev mode changes settings that the children must see
        debug = {"DEBUG": "true", "GRACEFUL_TIMEOUT": str(settings.graceful_timeout)} if settings.debug else {}
        held = {WEB_FD: str(listen_fd())} if listen_fd() is not None else {}
        self._gpus = Gpus(settings)
        changes = {SUPERVISED: "1"} | debug | held | self._gpus.environment
        self._started = StartedProcesses(directory)
        launcher = StandbyLauncher(
            LocalLauncher(lambda kind: process_environment(kind, settings, **changes), self._started)
        )
        self._children = Children(
            launcher,
            settings,
            on_change=self._on_child_change,
            on_fault=lambda: self._request_stop(ExitCode.FAILURE),
        )
        self._standby = StandbyKeeper(self._children, settings, directory, launcher.free_bytes)
        launcher.take = self._standby.take
        self._power = PowerReading()
        self._awake = SleepAssertion(settings.prevent_sleep)
        self.models = ModelTable(
            settings,
            EngineProcesses(self._children, settings, directory),
            memory_bytes=memory_plan.read(dedicated=self._gpus.memory_bytes()).total,
            other_load=self._ocr_busy,
            power=lambda: self._power,
            gpu_utilization=self._gpus.utilization,
        )

    async def serve(self, table: tuple[ChildSpec, ...]) -> ExitCode:
        self._listen_to_signals()
        server = Server(runtime.control_socket(self._directory), control.control_handler(self))
        await server.start()
        self._remove_stale_sockets()
        instance.write(self._directory, instance.describe(self._settings))
        try:
            if await self._port_is_free() and not self._stopping.is_set():
                self._start_children(table)
                await self._stopping.wait()
                self._notifier.stopping()
                await self._announce_drain()
                logger.info("stopping")
            self.models.close()
            await self._children.drain()
        finally:
            self.models.close()
            for task in self._tasks:
                task.cancel()
            self._children.kill()
            self._awake.release()
            self._gpus.close()
            self._remove_stale_sockets()
            instance.remove(self._directory)
            self._started.remove()
            await server.close()
        logger.info("stopped")
        return self._exit_code

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
            self.models.background_reason(),
            self.models.background_waited_s(),
            ended_engines=self._children.ended_engines(),
            ended_ocr=self._children.ended_ocr(),
        )

    def settings_table(self) -> SettingsTable:
        return SettingsTable(effective(self._settings))

    def stop(self) -> None:
        self._request_stop(ExitCode.OK)

    def restart(self, child: str) -> bool:
        return self._children.restart(child)

    # ---- start

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._on_stop_signal)
        loop.add_signal_handler(signal.SIGINT, self._on_interrupt)
        loop.add_signal_handler(signal.SIGHUP, self._reload_web)

    def _remove_stale_sockets(self) -> None:
        """Sockets of killed back ends. Called only while no back end runs."""
        for path in self._directory.glob("*.sock"):
            if path != runtime.control_socket(self._directory):
                path.unlink(missing_ok=True)

    async def _port_is_free(self) -> bool:
        if not self._options.with_web or listen_fd() is not None:
            return True
        why = await port.wait_until_free(self._settings.host, self._settings.port, _PORT_WAIT_S)
        if why:
            logger.error("cannot listen on {}; set PORT, or stop the process that uses it", why)
            self._exit_code = ExitCode.FAILURE
        return why is None

    def _start_children(self, table: tuple[ChildSpec, ...]) -> None:
        self._gpus.announce()
        for spec in table:
            self._children.add(spec)
        self.models.begin()
        reconciler = asyncio.get_running_loop().create_task(self.models.run())
        reconciler.add_done_callback(self._on_reconcile_ended)
        self._tasks.append(reconciler)
        self._every(_WATCHDOG_S, self._feed_watchdog)
        if self._options.standby:
            self._every(_STANDBY_CHECK_S, self._check_standby)
        if self._options.keeper is not None:
            self._every(_RUNTIME_CHECK_S, self._runtime_check(self._options.keeper))
        sampler = Sampler(self._settings.log_path if self._settings.enable_log_file else home())
        self._every(_READINGS_S, lambda: self._log_readings(sampler))
        self._every(_READINGS_S, self._read_power, thread=True)
        self._awake.hold()
        self._every(_READINGS_S, self._awake.hold)
        self._every(
            _LOG_ROTATION_S,
            self._log_rotation(Janitor(self._settings.log_path, self._settings, time.time)),
            thread=True,
        )
        if self._options.reload:
            sources = Sources(ROOT / "src")
            self._every(_RELOAD_S, lambda: self._reload(sources))
        if self._options.lifeline is not None:
            self._every(_PARENT_CHECK_S, self._stop_with_parent(self._options.lifeline))

    def _every(self, seconds: float, task: Callable[[], None], *, thread: bool = False) -> None:
        async def repeat() -> None:
            while True:
                await asyncio.sleep(seconds)
                try:
                    await (asyncio.to_thread(task) if thread else _run_inline(task))
                except Exception:  # noqa: BLE001  # process boundary: a background task must never stop the service
                    logger.exception("background task failed")

        self._tasks.append(asyncio.get_running_loop().create_task(repeat()))

    # ---- events

    def _on_child_change(self, child: Child) -> None:
        """A child changed state."""
        if child.spec.model is not None:
            end = child.last_end
            stalled = child.state == "starting" and end is not None and end.reason == "start"
            why = child.status().detail or (end.detail if end is not None else None)
            self.models.changed(child.spec.model, child.state, why, stalled=stalled)
        if child.state == "failed" and not self._startup_done and _is_config(child):
            self._request_stop(ExitCode.CONFIG)  # it printed what is wrong; a retry does not fix it
        if not self._announced_ready and self._children.all_in("ready"):
            self._announced_ready = True
            seconds = time.monotonic() - self._started_at
            logger.info("{} after {:.1f} s", self._where(), seconds)
        if not self._startup_done and self._children.all_in("ready", "failed"):
            # also when an engine failed: web reports why, and the engine is retried
            self._startup_done = True
            self._notifier.ready(self._where())
            if not self._announced_ready:
                logger.warning("started degraded: `{}` shows what failed", command("status"))

    def _on_reconcile_ended(self, task: asyncio.Task[None]) -> None:
        """Without the reconciler no request would be admitted: exit for a restart."""
        if not task.cancelled() and (error := task.exception()):
            logger.opt(exception=error).error("reconciling the table of models failed, exiting for a restart")
            self._request_stop(ExitCode.FAILURE)

    def _where(self) -> str:
        return f"ready on {specs.base_url(self._settings)}" if self._options.with_web else "back ends are ready"

    async def _announce_drain(self) -> None:
        """For DRAIN_NOTICE say that the service is about to stop, and still serve. A second signal cuts it short."""
        if not self._children.in_state("web", "ready"):
            return
        self._children.signal("web", signal.SIGUSR1)
        if self._notice_s > 0:
            logger.info("about to stop: not ready any more, serving for another {:g} s (DRAIN_NOTICE)", self._notice_s)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._hurried.wait(), self._notice_s)

    def _on_stop_signal(self) -> None:
        if self._stopping.is_set():
            logger.warning("second stop signal: killing all processes")
            self._hurried.set()
            self._children.kill()
        self.stop()

    def _on_interrupt(self) -> None:
        """^C: whoever sits there does not want to wait for a proxy."""
        if not self._stopping.is_set():
            self._notice_s = 0.0
        self._on_stop_signal()

    def _request_stop(self, exit_code: ExitCode) -> None:
        if not self._stopping.is_set():
            self._notice_s *= exit_code is ExitCode.OK  # who is broken does not go on serving
            self._exit_code = exit_code
            self._stopping.set()

    def _reload_web(self) -> None:
        """SIGHUP: new web workers with new settings; engines keep running."""
        try:
            keys.load(load())
        except SettingsError as error:  # gunicorn's master would exit on them
            logger.error("web is not reloaded, invalid settings: {}", "; ".join(error.problems))
            return
        if self._children.in_state("web", "ready"):
            logger.info("reloading web")
            self._children.signal("web", signal.SIGHUP)

    def _reload(self, sources: Sources) -> None:
        files = sources.changed()
        names = affected_processes(files)
        if files:
            logger.info("{} changed: restarting {}", ", ".join(map(str, sorted(files))), sorted(names) or "nothing")
        if names == {"web"} and self._children.in_state("web", "ready"):
            self._reload_web()
        else:
            for name in sorted(names):
                self._children.restart_kind(name)

    def _stop_with_parent(self, pid: int) -> Callable[[], None]:
        try:
            process = psutil.Process(pid)
        except psutil.NoSuchProcess:
            process = None

        def check() -> None:
            if process is None or not is_alive(process):
                logger.info("parent process {} exited, shutting down", pid)
                self.stop()

        return check

    def _runtime_check(self, keeper: RuntimeKeeper) -> Callable[[], None]:
        def check() -> None:
            try:
                removed = keeper.check()
            except (runtime.RuntimeDirError, lock.AlreadyRunning, OSError) as error:
                logger.error("{} was removed and could not be created again: {}; exiting", self._directory, error)
                return self._request_stop(ExitCode.RUNTIME_LOST)
            if removed:
                logger.warning("{} was removed while running and has been created again (RUNTIME_DIR)", self._directory)
                self._children.restart_kind(specs.OCR)  # its spool and its jobs were there
            for name in keeper.unreachable(self._children.sockets()):
                logger.warning("the socket of {} is missing: restarting it", name)
                self._children.restart(name)
            return None

        return check

    def _log_rotation(self, janitor: Janitor) -> Callable[[], None]:
        def tidy() -> None:
            lock.touch(runtime.lock_file(self._directory))
            if self._settings.enable_log_file:
                janitor.tidy()

        return tidy

    def _ocr_busy(self) -> bool:
        ocr = self._children.status_of(specs.OCR)
        load = ocr.health.ocr if ocr is not None and ocr.health is not None else None
        return load is not None and load.busy + load.waiting > load.background

    def _check_standby(self) -> None:
        if self._startup_done and not self._stopping.is_set():
            self._standby.check()

    def _read_power(self) -> None:
        self._power = power.read()

    def _feed_watchdog(self) -> None:
        if overdue := self._children.overdue():
            logger.error("heartbeat timeout of {} was not handled: not feeding the watchdog", ", ".join(overdue))
        else:
            self._notifier.watchdog()

    def _log_readings(self, sampler: Sampler) -> None:
        reading = sampler.sample(self._children.status(), self._gpus.sample())
        logs.system.bind(**msgspec.to_builtins(reading)).info("readings")


async def _run_inline(task: Callable[[], None]) -> None:
    task()


def _is_config(child: Child) -> bool:
    return child.last_end is not None and child.last_end.status == ExitCode.CONFIG
