"""What an engine has measured of a model on this machine, kept in STATE_DIR for its next start: what steps cost, and
that its rows may be computed together. Without it a start measures again.

Owner thread; `keep_soon` writes on a thread of its own.
"""

from __future__ import annotations

import math
import os
import threading
import time
from pathlib import Path

import msgspec
from loguru import logger
from msgspec.structs import replace

from src.engine.backend import Backend
from src.engine.step_cost import StepCost
from src.ipc.messages.chat import Sampling

_MOST_FILES = 64
_MOST_STEPS = 256
_FIRST_TOKENS = 16
_DECODED = 8
_IDS = 8  # token ids 1 to 8 are in every vocabulary
_CHUNK_S = 0.5  # no larger chunk is tried that would take longer


class Calibration(msgspec.Struct, frozen=True):
    """`batches`: a batch gave what its rows give alone. Steps as `step_cost` counts them."""

    batches: bool = False
    chunks: tuple[tuple[int, int, float], ...] = ()
    decodes: tuple[tuple[int, float], ...] = ()

    @classmethod
    def of(cls, cost: StepCost, *, batches: bool) -> Calibration:
        chunks = tuple((chunk.tokens, chunk.context, chunk.seconds) for chunk in cost.chunks)
        return cls(batches, chunks, tuple((step.rows, step.seconds) for step in cost.decodes))

    def seed(self, cost: StepCost) -> None:
        """As if the steps had been measured just now."""
        for chunk in self.chunks:
            cost.add(*chunk)
        for step in self.decodes:
            cost.add_decode(*step)

    @property
    def is_sane(self) -> bool:
        """Whether it can have been measured: a damaged file must not decide how much is computed at once."""
        seconds = [*(chunk[2] for chunk in self.chunks), *(step[1] for step in self.decodes)]
        counts = [*(chunk[0] for chunk in self.chunks), *(step[0] for step in self.decodes)]
        finite = all(math.isfinite(value) and value > 0 for value in seconds)
        return finite and all(count > 0 for count in counts) and len(seconds) <= _MOST_STEPS


class CalibrationStore:
    """The calibration of the one model that this process loads. Nothing is kept before `open`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path: Path | None = None
        self._writing: threading.Thread | None = None
        self.calibration = Calibration()
        self.cost = StepCost()

    def open(self, key: str) -> None:
        """Read what is kept of a model; `key` names its files, and all that its speed and its numbers depend on."""
        self._path = self._folder / f"{key}.json"
        try:
            found = msgspec.json.decode(self._path.read_bytes(), type=Calibration)
        except FileNotFoundError:
            return
        except (OSError, msgspec.MsgspecError) as error:
            logger.warning("the calibration of this model cannot be read, it is measured again: {}", error)
            return
        if found.is_sane:
            self.calibration = found
            found.seed(self.cost)

    def keep_batches(self) -> None:
        self._keep(replace(self.calibration, batches=True))

    def keep_soon(self) -> None:
        """The costs as they are now, without waiting for the disk; left out while an earlier write goes on."""
        calibration = Calibration.of(self.cost, batches=self.calibration.batches)
        if self._writing is None or not self._writing.is_alive():
            self._writing = threading.Thread(target=self._keep, args=(calibration,), name="calibration", daemon=True)
            self._writing.start()

    def _keep(self, calibration: Calibration) -> None:
        self.calibration = calibration
        if self._path is None:
            return
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            new = self._path.with_suffix(f".{os.getpid()}")
            new.write_bytes(msgspec.json.encode(calibration))
            new.replace(self._path)
            self._prune()
        except OSError as error:
            logger.debug("the calibration of this model cannot be kept: {}", error)

    def _prune(self) -> None:
        """Of many models and versions, the latest."""
        files = sorted(self._folder.iterdir(), key=lambda file: file.stat().st_mtime)
        for file in files[:-_MOST_FILES]:
            file.unlink(missing_ok=True)


def calibrate(backend: Backend, cost: StepCost, most: int) -> None:
    """Measure chunks of growing size, each with a few tokens decoded, as long as they take little: until there are
    requests, for a model that was never measured here.

    `most`: tokens of a chunk. What it leaves in the caches is cleared.
    """
    if backend.info.kind != "chat" or cost.cost is not None or backend.info.context_length < 2 * most:
        return
    tokens, took_s = _FIRST_TOKENS, 0.0
    while tokens <= most and 4 * took_s <= _CHUNK_S:
        took_s = _measure(backend, cost, tokens)
        tokens *= 4
    backend.trim()


def _measure(backend: Backend, cost: StepCost, tokens: int) -> float:
    """Seconds of a prompt's chunk, computed alone. Its first token is no other calibration's: nothing is cached."""
    first = tokens.bit_length()
    prompt = [first, *(1 + at % _IDS for at in range(tokens))]
    backend.insert(prompt, _DECODED, Sampling(temperature=0.0))
    took_s, ended = 0.0, False
    while not ended:
        began = time.perf_counter()
        step = backend.step()
        seconds = time.perf_counter() - began
        if chunk_s := step.times.get("prefill"):
            took_s += chunk_s
        elif step.tokens:
            cost.add_decode(1, seconds)
        ended = any(token.finish for token in step.tokens)
    if took_s:
        cost.add(tokens, 0, took_s)
    return took_s
