"""The other ranks of this engine's model, as rank 0 sees them: started, told, watched. Owner thread, and one a rank.

A rank on this machine is a child; on another the launcher (ssh) is, and passes both pipes on. Whichever end goes, the
other sees its pipe end: no rank outlives its engine, and the engine exits when a rank is lost.
"""

from __future__ import annotations

import os
import select
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import psutil

from src.engine.ranks.hosts import RankHost, is_here
from src.errors import ModelLoadFailed
from src.ipc.framing import Decoder, FramingError, encode
from src.ipc.messages.ranks import JoinRanks, PrepareRank, RankAlive, RankCommand, RankPrepared
from src.ipc.messages.status import MemoryReading
from src.settings import ROOT, Settings, rank_environment

_CHUNK = 1 << 16
_PREPARE_S = 120.0  # a cold disk's imports
_POLL_S = 0.5
_HALTED_S = 1.5  # a rank here that is stopped for so long is lost
_SILENT_S = 10.0  # one that says nothing, elsewhere too
_CLOSE_S = 3.0
_LOADING_GRACE_S = 3.0  # rank 0 finds the same fault of a model, and reports it
_LAST_LINES = 300


class RankProcess:
    """One rank other than 0."""

    def __init__(self, rank: int, host: RankHost, command: list[str], *, here: bool, quiet: bool) -> None:
        self.rank, self.host, self.here = rank, host, here
        self.memory: MemoryReading | None = None
        self._decoder = Decoder()
        self._heard = time.monotonic()
        pipes = subprocess.PIPE if quiet else None
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=pipes, bufsize=0
        )
        if self._process.stdin is None or self._process.stdout is None:
            raise BrokenPipeError("a rank has no pipes")
        self._input, self._output = self._process.stdin, self._process.stdout

    @property
    def name(self) -> str:
        return f"rank {self.rank} on {self.host.name}"

    def send(self, message: PrepareRank | JoinRanks | RankCommand) -> None:
        """Waits where the rank does not read: it is then computing, or is found to be lost."""
        view = memoryview(encode(message))
        while view:
            view = view[self._input.write(view) :]

    def prepared(self, until: float) -> RankPrepared:
        """Its answer to `PrepareRank`; raises ModelLoadFailed without one."""
        while (left := until - time.monotonic()) > 0 and select.select([self._output], [], [], left)[0]:
            data = os.read(self._output.fileno(), _CHUNK)
            if not data:
                raise ModelLoadFailed(f"{self.name} did not start: {self._last_words()}")
            for message in self._decoder.feed(data):
                if isinstance(message, RankPrepared):
                    return message
        raise ModelLoadFailed(f"{self.name} did not answer within {_PREPARE_S:g} s.")

    def why_lost(self) -> str | None:
        """Wait for what it says for a moment; why it is lost, if it is."""
        if select.select([self._output], [], [], _POLL_S)[0]:
            data = os.read(self._output.fileno(), _CHUNK)
            if not data:
                return f"exited ({self._status()})"
            self._heard = time.monotonic()
            for message in self._decoder.feed(data):
                if isinstance(message, RankAlive):
                    self.memory = message.memory
        silent_s = time.monotonic() - self._heard
        if silent_s > _SILENT_S or (silent_s > _HALTED_S and self._is_stopped()):
            return f"said nothing for {silent_s:.1f} s"
        return None

    def close(self, until: float) -> None:
        """Its input ends, by which it exits; what has not by then is killed."""
        with suppress(OSError):
            self._input.close()
        try:
            self._process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _status(self) -> str:
        with suppress(subprocess.TimeoutExpired):
            return f"status {self._process.wait(_POLL_S)}"
        return "its output ended"

    def _is_stopped(self) -> bool:
        with suppress(psutil.Error):
            return self.here and psutil.Process(self._process.pid).status() == psutil.STATUS_STOPPED
        return False

    def _last_words(self) -> str:
        status = self._status()
        said = self._process.stderr.read() if self._process.stderr is not None else b""
        lines = said.decode(errors="replace").strip().splitlines()
        return f"{lines[-1][:_LAST_LINES]} ({status})" if lines else status


class Followers:
    """All of them. `lost` is called on a thread when one is; never after `close`."""

    def __init__(self, members: list[RankProcess]) -> None:
        self._members = members
        self._closing = threading.Event()
        self.loading = True

    @classmethod
    def start(cls, hosts: tuple[RankHost, ...], launcher: str, *, quiet: bool = False) -> Followers:
        """Begin their processes. `quiet`: what they print is kept for the reason of a failure."""
        found = cls([])
        try:
            for rank, host in enumerate(hosts[1:], 1):
                here = is_here(host, hosts)
                found._members.append(
                    RankProcess(rank, host, _command(rank, None if here else host, launcher), here=here, quiet=quiet)
                )
        except OSError as error:
            found.close()
            raise ModelLoadFailed(f"A rank could not be started (ENGINE_LAUNCHER={launcher}): {error}") from None
        return found

    def prepare(self, model: str, settings: Settings) -> list[RankPrepared]:
        """What each has, by rank. Raises ModelLoadFailed for one that does not answer."""
        environment, until = rank_environment(settings), time.monotonic() + _PREPARE_S
        try:
            for each in self._members:
                order = PrepareRank(each.rank, len(self._members) + 1, each.host.address, model, environment)
                with suppress(BrokenPipeError):  # it has exited: `prepared` says why
                    each.send(order)
            return [each.prepared(until) for each in self._members]
        except FramingError as error:
            raise ModelLoadFailed(f"A rank prints what is no message: {error}") from None

    def join(self, orders: list[JoinRanks], lost: Callable[[str], None]) -> None:
        """Have them load, and watch them from now on."""
        for each, order in zip(self._members, orders, strict=True):
            with suppress(BrokenPipeError):  # it has exited: the watch finds it
                each.send(order)
            threading.Thread(target=self._watch, args=(each, lost), name=each.name, daemon=True).start()

    def send(self, command: RankCommand) -> None:
        for each in self._members:
            each.send(command)

    def memory_by_host(self) -> dict[str, list[MemoryReading]]:
        """The latest of each rank, those of this machine under an empty name."""
        found: dict[str, list[MemoryReading]] = {"": []}
        for each in self._members:
            if each.memory is not None:
                found.setdefault("" if each.here else each.host.name, []).append(each.memory)
        return found

    def close(self) -> None:
        """End them."""
        self._closing.set()
        until = time.monotonic() + _CLOSE_S
        for each in self._members:
            each.close(until)

    def _watch(self, each: RankProcess, lost: Callable[[str], None]) -> None:
        why: str | None = None
        while why is None and not self._closing.is_set():
            try:
                why = each.why_lost()
            except (OSError, ValueError, FramingError) as error:
                why = str(error)
        if why is not None and not self._closing.wait(_LOADING_GRACE_S if self.loading else 0.0):
            lost(f"{each.name} {why}")


def _command(rank: int, host: RankHost | None, launcher: str) -> list[str]:
    """How a rank is started: here, or by the launcher at the same places of another host."""
    program = [sys.executable, "-m", "src.engine.ranks.follower", f"--rank={rank}"]
    if host is None:
        return program
    shell = f"cd {shlex.quote(str(ROOT))} && exec {shlex.join(program)}"
    return [*(part.replace("{host}", host.name) for part in shlex.split(launcher)), shell]
