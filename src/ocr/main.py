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

from loguru import logger

from src import logs, settings
from src.errors import ExitCode
from src.ipc import lifeline, runtime
from src.ipc.server import AddressInUse, Server
from src.ocr.admission import Admission
from src.ocr.broker import Broker
from src.ocr.pool import Pool
from src.ocr.process import WorkerProcess
from src.settings import Settings


def main() -> int:
    faulthandler.enable()  # SIGABRT, which the supervisor sends to the hung, dumps stacks
    try:
        config = settings.load()
        runtime.prepare(config.runtime_path)
    except (settings.SettingsError, runtime.RuntimeDirError) as error:
        sys.stderr.write(f"{error}\n")
        return ExitCode.CONFIG
    logs.configure("ocr", config, config.level)
    lifeline.watch(lambda: os._exit(ExitCode.PARENT_GONE))
    try:
        asyncio.run(_run(config))
    except AddressInUse as error:
        logger.error("another process answers on {}", error)
        return ExitCode.ALREADY_RUNNING
    return ExitCode.OK


async def _run(config: Settings) -> None:
    """Serve until SIGTERM or Ctrl-C."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    pool = Pool(config.ocr_workers, config.ocr_page_timeout, lambda: WorkerProcess(config))
    broker = Broker(pool, Admission(config, pool))
    server = Server(runtime.ocr_socket(config.runtime_path), broker.serve)
    await server.start()
    try:
        broker.start()
        logger.info("the OCR broker listens, {} workers are loading", config.ocr_workers)
        await stop.wait()
        logger.info("the OCR broker is stopping")
    finally:
        await broker.close()
        await server.close()


if __name__ == "__main__":
    sys.exit(main())
