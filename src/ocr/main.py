"""The OCR process, `python -m src.ocr.main`: a broker on asyncio over a pool of spawned workers.

The supervisor starts it in the repository's root with a lifeline as standard input. Spawned workers import this module
again under another name, so it does nothing on import.
"""

from __future__ import annotations

import asyncio
import faulthandler
import os
import signal
import sys
from pathlib import Path

import psutil
from loguru import logger

from src import logs, settings
from src.errors import ExitCode
from src.ipc import lifeline, runtime
from src.ipc.server import AddressInUse, Server
from src.ocr import engine_choice, sizing, state
from src.ocr.admission import Admission
from src.ocr.broker import Broker
from src.ocr.job_store import JobStore
from src.ocr.jobs import Jobs
from src.ocr.pool import Pool, WorkerRecycling
from src.ocr.process import WorkerProcess
from src.ocr.spool import Spool
from src.ocr.state import JobClaim, StateDirError
from src.settings import Settings

_BUFFER_BYTES = 256 << 20  # fits one page with its image; further sends wait until the client reads


def main() -> int:
    faulthandler.enable()  # the supervisor sends SIGABRT to a hung process
    try:
        config = settings.load()
        runtime.prepare(config.runtime_path)
    except (settings.SettingsError, runtime.RuntimeDirError) as error:
        sys.stderr.write(f"{error}\n")
        return ExitCode.CONFIG
    logs.configure("ocr", config, config.level)
    lifeline.watch(lambda: os._exit(ExitCode.PARENT_GONE))
    lifeline.die_with_parent()  # also while hung; pages are sent again, jobs are resumed by the next broker
    try:
        asyncio.run(_run(config, state.opened(config.state_path)))
    except AddressInUse as error:
        logger.error("another process listens on {}", error)
        return ExitCode.ALREADY_RUNNING
    except StateDirError as error:
        logger.error("the OCR broker cannot start: {}", error)
        return ExitCode.CONFIG
    return ExitCode.OK


async def _run(config: Settings, directory: Path) -> None:
    """Serve until SIGTERM or Ctrl-C."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    chosen = engine_choice.choose(config)
    limits = sizing.bounds(
        config,
        cores=os.cpu_count() or 1,
        memory_bytes=psutil.virtual_memory().total,
        model_bytes=engine_choice.model_bytes(config),
        on_gpu=chosen.on_gpu,
    )
    recycling = WorkerRecycling(config.ocr_recycle_pages, (config.ocr_worker_memory_mb << 20) / 2)
    pool = Pool(limits.least, config.ocr_page_timeout, lambda: WorkerProcess(config), recycling)
    admission, spool = Admission(config, pool), Spool(directory)
    store, claim = JobStore(directory, config.runtime_path), JobClaim(directory)
    jobs = Jobs(config, admission, store, spool, claim=claim.take)
    broker = Broker(config, pool, admission, jobs, spool)
    server = Server(runtime.ocr_socket(config.runtime_path), broker.serve, buffer_bytes=_BUFFER_BYTES)
    await server.start()
    autoscaler: asyncio.Task[None] | None = None
    try:
        await broker.start()
        autoscaler = asyncio.create_task(sizing.autoscale(pool, admission, limits))
        logger.info("the OCR broker is listening: {} ({}), {} to {} workers", *chosen.shown, limits.least, limits.most)
        await stop.wait()
        logger.info("the OCR broker is stopping")
    finally:
        if autoscaler is not None:
            autoscaler.cancel()
        await broker.close()
        claim.release()
        await server.close()


if __name__ == "__main__":
    sys.exit(main())
