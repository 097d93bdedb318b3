"""One rank's part of a text model: divided by mlx-lm, with the room that the tightest rank has. Owner thread.

Every rank runs this with the same settings, and the same steps afterwards; only rank 0 knows requests
(`src/engine/ranks`).
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlx.core as mx
import msgspec
from mlx_lm.utils import dequantize_model

from src import logs
from src.engine.backend import KvRoom
from src.engine.mlx import agreement, lm_checkpoint
from src.engine.mlx.lm import LmBackend
from src.engine.mlx.lm_checkpoint import Loaded, Room
from src.engine.mlx.weights import fits_as_float32, load_text, parameter_count
from src.engine.progress import LoadMeter
from src.errors import ModelLoadFailed
from src.settings import Settings

# what needs more than the steps that ranks share, and its value without
_ALONE: dict[str, object] = {"speculative_method": "off", "kv_bits": "off", "prefix_cache_dir": None}


class RankBackend(LmBackend):
    """A loaded model's part, and its batch."""

    embedder = None  # a pass of theirs would be one rank's alone
    scorer = None

    def _check_batch(self, model: Any) -> str | None:
        problem = super()._check_batch(model)
        well_everywhere = agreement.least([int(problem is None)]) == [1]
        return None if well_everywhere else problem or "another rank found that a batch changes answers"


class _Division:
    """Reads a model and keeps this rank's part."""

    def __init__(self, settings: Settings, group: Any, ranks_here: int) -> None:
        self._settings, self._group = settings, group
        self._share = ranks_here / group.size()
        self.parameters = 0

    def load(self, folder: Path) -> tuple[Any, dict[str, Any]]:
        """As `load_text`; nothing is read yet, so that each rank reads what it keeps."""
        model, config = load_text(folder)
        self.parameters = parameter_count(model)
        if sys.platform == "linux" and mx.default_device() == mx.cpu and self._wants_float32(model):
            dequantize_model(model)  # divided matrices cannot be any more
        self._divide(model, str(config.get("model_type")))
        return model, config

    def _wants_float32(self, model: Any) -> bool:
        policy, kernels = self._settings.cpu_dequantize, self._settings.cpu_kernels
        if "never" in (policy, "never" if kernels == "mlx" else ""):
            return False
        return policy == "always" or kernels == "fp32" or fits_as_float32(model, self._share)

    def _divide(self, model: Any, kind: str) -> None:
        if self._settings.engine_parallel == "tensor":
            if not hasattr(model, "shard"):
                raise ModelLoadFailed(_unable(kind, "tensor", "pipeline"))
            model.shard(self._group)
        elif hasattr(getattr(model, "model", None), "pipeline"):
            model.model.pipeline(self._group)
        else:
            raise ModelLoadFailed(_unable(kind, "pipeline", "tensor"))


def _unable(kind: str, asked: str, other: str) -> str:
    return (
        f"mlx-lm cannot divide the architecture {kind} by ENGINE_PARALLEL={asked}. "
        f"Try {other}, or serve it without ENGINE_HOSTS."
    )


def load_ranked(model: str, settings: Settings, blas: str | None, progress: LoadMeter, ranks_here: int) -> RankBackend:
    """Join the others and load this rank's part; raises as `lm.load_lm`."""
    settings = _settings_for_ranks(settings, ranks_here)
    group = agreement.join(settings.engine_transport)
    progress.step()
    division = _Division(settings, group, ranks_here)
    found = lm_checkpoint.read(model, settings, blas, progress, division.load, share=1 / group.size())
    found.revision.check()
    info = msgspec.structs.replace(found.info, parameters=division.parameters)
    return RankBackend(_with_least_room(replace(found, info=info), settings), settings)


def _settings_for_ranks(settings: Settings, ranks_here: int) -> Settings:
    """Without what ranks cannot do; a host's ranks share its memory."""
    for name, off in _ALONE.items():
        if (value := getattr(settings, name)) != off:
            logs.model.warning("{}={}: not with ENGINE_HOSTS; the model is served without", name.upper(), value)
    shares: dict[str, object] = {
        "mlx_memory_fraction": settings.mlx_memory_fraction / ranks_here,
        "memory_budget_mb": settings.memory_budget_mb // ranks_here,
    }
    return settings.model_copy(update=_ALONE | shares)


def _with_least_room(found: Loaded, settings: Settings) -> Loaded:
    """As many tokens as fit on every rank: all evict the same prefixes, and admit the same sequences."""
    kv, prefix = found.room.kv, found.room.prefix_bytes
    per_token = max(1, kv.token_bytes)
    stateful = kv.row_bytes and settings.engine_parallel == "pipeline"  # of other layers on every rank
    kept = 0 if stateful else prefix // per_token
    cached, running, context = agreement.least([kept, kv.limit_bytes // per_token, found.info.context_length])
    room = Room(cached * per_token, KvRoom(running * per_token, kv.token_bytes, kv.row_bytes))
    return replace(found, room=room, info=msgspec.structs.replace(found.info, context_length=context))
