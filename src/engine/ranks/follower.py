"""A rank other than 0, `python -m src.engine.ranks.follower`: loads its part of a model, and does what rank 0 says.

Started by rank 0 (`followers`), by ssh on another host. Its standard input has the commands and is its lifeline.
Main thread; one thread says that it is alive, one sees its input end.
"""

from __future__ import annotations

import faulthandler
import os
import select
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.metadata import version

from src import logs
from src.engine import checkpoint
from src.engine.backend import Backend
from src.engine.progress import LoadMeter
from src.engine.ranks import link
from src.engine.ranks.steps import UNCOMPARED, checksum
from src.errors import ExitCode, ModelLoadFailed
from src.gpu import blas, footprint
from src.ipc import lifeline
from src.ipc.framing import Decoder, encode
from src.ipc.messages.chat import Sampling
from src.ipc.messages.ranks import (
    JoinRanks,
    PrepareRank,
    RankAlive,
    RankInsert,
    RankMove,
    RankPrepared,
    RankRemove,
    RankStep,
    RankTidy,
)
from src.ipc.messages.status import MemoryReading
from src.ipc.messages.wire import AnyMessage
from src.settings import Settings, adopt, load

_CHUNK = 1 << 16
_ALIVE_S = 0.5
_GREEDY = Sampling(temperature=0.0)  # what it draws is never looked at


def main() -> ExitCode:
    faulthandler.enable()
    lifeline.die_with_parent()
    output = _own_output()
    threading.Thread(target=_exit_with_input, name="lifeline", daemon=True).start()
    messages = _messages()
    first = next(messages, None)
    if not isinstance(first, PrepareRank):
        return ExitCode.PARENT_GONE
    adopt(first.settings)
    settings = load()
    logs.configure(f"rank-{first.rank}", settings, settings.level)
    _send(output, _prepare(first, settings))
    if not isinstance(order := next(messages, None), JoinRanks):
        return ExitCode.PARENT_GONE
    threading.Thread(target=_report_alive, args=(output,), name="alive", daemon=True).start()
    return _serve(first.model, settings, order, messages)


def _serve(model: str, settings: Settings, order: JoinRanks, messages: Iterator[AnyMessage]) -> ExitCode:
    """Load, then do what rank 0 says. Any other exception ends the process, and rank 0 with it."""
    try:
        blas.preload(settings.blas_library)
        from src.engine.mlx.ranked import load_ranked  # behind the BLAS

        with link.applied(order):
            backend = load_ranked(model, settings, None, LoadMeter(), order.ranks_here)
    except ModelLoadFailed as error:
        logs.model.error("{}", error.message)
        return ExitCode.MODEL
    logs.model.info("{}: this rank is loaded, {}", model, backend.info)
    previous = UNCOMPARED
    for message in messages:
        previous = _handle(backend, message, previous)
    return ExitCode.OK


def _handle(backend: Backend, message: AnyMessage, previous: int) -> int:
    """Do as rank 0 did; the checksum of the last step."""
    if isinstance(message, RankStep):
        if message.previous not in (UNCOMPARED, previous):
            raise RuntimeError("this rank computes something else than rank 0")
        return checksum(backend.step(message.prefill))
    if isinstance(message, RankInsert):
        uid = backend.insert(message.prompt, message.max_tokens, _GREEDY, salt=message.salt)
        if uid != message.uid:
            raise RuntimeError(f"sequence {uid} here is {message.uid} on rank 0")
    elif isinstance(message, RankRemove):
        backend.remove(message.uids)
    elif isinstance(message, RankTidy):
        (backend.trim if message.evict else backend.tidy)()
    elif isinstance(message, RankMove):
        (backend.to_host if message.to == "cpu" else backend.to_device)()
    return previous


def _prepare(order: PrepareRank, settings: Settings) -> RankPrepared:
    try:
        folder = checkpoint.locate(order.model, settings.models_path)
        port = link.free_port(order.address, settings.engine_ports, order.rank, order.ranks)
        return RankPrepared(version("mlx"), link.fingerprint(folder), port)
    except (ModelLoadFailed, OSError) as error:
        return RankPrepared(problem=error.message if isinstance(error, ModelLoadFailed) else str(error))


def _own_output() -> int:
    """Standard output for messages alone: what a library prints goes to standard error."""
    output = os.dup(1)
    os.dup2(2, 1)
    return output


def _send(output: int, message: RankPrepared | RankAlive) -> None:
    view = memoryview(encode(message))
    while view:
        view = view[os.write(output, view) :]


def _report_alive(output: int) -> None:
    with suppress(OSError):  # rank 0 has gone: the lifeline ends this process
        while True:
            _send(output, RankAlive(_memory()))
            time.sleep(_ALIVE_S)


def _memory() -> MemoryReading:
    """With MLX's figures, once it is imported."""
    device = sys.modules.get("src.engine.mlx.device")
    read: Callable[[], MemoryReading] = getattr(device, "read_memory", footprint.own)
    return read()


def _messages() -> Iterator[AnyMessage]:
    decoder = Decoder()
    while data := os.read(lifeline.STDIN, _CHUNK):
        yield from decoder.feed(data)


def _exit_with_input() -> None:
    """Also while the main thread is in a collective operation; commands that are left are of no use any more."""
    poll = select.poll()
    poll.register(lifeline.STDIN, 0)  # POLLHUP alone: the main thread reads
    while not poll.poll(1000):
        pass
    os._exit(ExitCode.PARENT_GONE)


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    os._exit(code)
