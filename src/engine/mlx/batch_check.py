"""Proves at load that a batch gives what its rows give alone, by log-probabilities. Owner thread.

An architecture that pads, masks or counts wrongly would let a user's answer depend on the neighbours. Its text may look
well: only the numbers tell.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence as Seq

from loguru import logger

from src import logs
from src.engine.mlx.rows import Rows
from src.engine.mlx.sampling import SamplingRow
from src.gpu.faults import of_gpu

Probe = tuple[list[int], object | None]
# how far a token's log-probability may be from what it is alone: kernels round differently for other shapes
FLOAT32, HALF = 0.01, 0.25
_TOKENS = 6
# what architectures say of batches that they cannot compute
_COMPLAINTS = (ValueError, TypeError, RuntimeError, LookupError, AttributeError)
_LENGTHS = (8, 3, 21)
Scored = list[tuple[int, float]]


def text_probes(vocabulary: int) -> list[Probe]:
    """Prompts of different lengths, of ids that every vocabulary has."""
    return [([1 + (seed * 7 + at) % max(vocabulary - 1, 1) for at in range(seed)], None) for seed in _LENGTHS]


def problem(model: str, make: Callable[[int], Rows], probes: Seq[Probe], tolerance: float) -> str | None:
    """Why rows of a batch do not get what each gets alone, None where they do; `make` begins so many rows.

    Raises whatever the architecture raises for a row alone: such a model cannot run.
    """
    alone = [_read(make(1), [probe])[0] for probe in probes]
    try:
        together = _read(make(len(probes)), probes)
    except _COMPLAINTS as error:
        if of_gpu(error):
            raise
        logger.opt(exception=True).info("the batch check failed")
        return _found(model, f"a batch fails ({error})")
    worst = max(map(_distance, alone, together))
    if worst <= tolerance:
        logs.model.info("{}: batch check passed, log-probabilities within {:.4f}", model, worst)
        return None
    return _found(model, f"a batch changes log-probabilities by {worst:.3f} (at most {tolerance} is rounding)")


def _found(model: str, what: str) -> str:
    logger.warning("{}: {}; one request at a time", model, what)
    return what


def _distance(alone: Scored, together: Scored) -> float:
    """The largest difference up to where the texts part."""
    worst = 0.0
    for (token, score), (other, there) in zip(alone, together, strict=False):  # an end mark may come first
        worst = max(worst, abs(score - there))
        if token != other:
            break
    return worst


def _read(rows: Rows, probes: Seq[Probe]) -> list[Scored]:
    """The tokens of each probe, and their log-probabilities."""
    made: dict[int, Scored] = {}
    for prompt, media in probes:
        made[rows.add(prompt, _TOKENS, SamplingRow(len(prompt), logprobs=0), "", media)] = []
    left = (_TOKENS + 2) * (len(probes) + 2)
    while left and any(len(scored) < _TOKENS for scored in made.values()):
        left -= 1
        for reply in rows.next()[1]:
            made[reply.uid].append(reply.logprobs.read()[0])
    rows.close()
    return list(made.values())
