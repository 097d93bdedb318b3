"""Reads a text or vision checkpoint: weights, tokenizer, draft model, memory budget. Called by `lm` and `vlm` at load.

Owner thread; nothing of it is needed once a model is loaded but `Loaded`.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import mlx_lm
from loguru import logger
from mlx.utils import tree_flatten

from src import catalog
from src.engine import checkpoint
from src.engine.backend import KvRoom
from src.engine.families.formats import Language
from src.engine.mlx import kv, packed
from src.engine.mlx.device import bound_wired, choose_device
from src.engine.mlx.gguf import store
from src.engine.mlx.packed import Packing
from src.engine.mlx.prefix.disk import Disk, fingerprint
from src.engine.mlx.speculation.plan import SpeculationPlan, TargetModel, plan
from src.engine.mlx.text.language import speak
from src.engine.mlx.text.opening import open_tokenizer, override_template
from src.engine.mlx.text.tokenizer import LmTokenizer
from src.engine.mlx.text.vocabulary import Vocabulary
from src.engine.mlx.weights import (
    CpuPolicy,
    Load,
    clean,
    has_int8_kernels,
    load_text,
    parameter_count,
    read_model,
    refuse_too_large,
    too_large,
    weight_bytes,
)
from src.engine.progress import LoadMeter
from src.engine.revision import Revision, of_checkpoint
from src.errors import ModelLoadFailed
from src.gpu import memory_plan
from src.gpu.faults import of_gpu
from src.ipc.messages.chat import Sampling
from src.ipc.messages.status import DeviceReading, ModelInfo
from src.settings import EngineSettings, Settings

# the prefix cache takes at most a quarter of the memory beside the weights
_PREFIX_SHARE = 4
P = TypeVar("P")

_LEAST_CONTEXT = 128  # tokens; with room for fewer, a model answers nothing


@dataclass(frozen=True)
class Room:
    """How the memory beside the weights is divided."""

    prefix_bytes: int
    kv: KvRoom


@dataclass(frozen=True)
class Loaded:
    """A checkpoint that was read, and all that is known of it. `reload` reads its weights once more."""

    model: Any
    tokenizer: LmTokenizer
    info: ModelInfo
    device: DeviceReading
    defaults: Sampling
    vocabulary: Vocabulary
    room: Room
    revision: Revision
    reload: Callable[[], Any]
    open_disk: Callable[[], Disk | None]
    bound_wired: Callable[[], None]
    speculation: SpeculationPlan | None = None


def read(
    model: str,
    settings: Settings,
    blas: str | None,
    progress: LoadMeter,
    load: Load = load_text,
    tokenizer_class: type[LmTokenizer] = LmTokenizer,
    speaker: Callable[[Any], Any] = lambda module: module,
    share: float = 1.0,
) -> Loaded:
    """Read a checkpoint, or a `share` of it; `load` makes its module, `speaker` is the part that has caches.

    Raises:
        ModelLoadFailed: when it is missing, damaged, or of an unknown architecture; the reason is in the text.
        MemoryError, FilesChanged: when there is no room for it now; when it was replaced meanwhile.
    """
    began, device = time.monotonic(), choose_device(settings, blas)
    folder = store.located(model, settings, progress)
    revision = of_checkpoint(folder, settings, store.sources(model, settings))
    config = checkpoint.read_config(folder)
    clean()
    budget = budget_bytes(settings, device)
    refuse_too_large(folder, model, budget, share)
    cpu = _cpu_policy(settings, load) if device.kind == "cpu" and sys.platform == "linux" else None
    reload = partial(read_model, folder, cpu, progress, load)
    read_parts = partial(_read_parts, model, folder, config, settings, reload, speaker, cpu)
    parts = checked(read_parts, revision, model)
    context = _context(model, config, settings, parts, budget)
    info = _info(model, config, parts, context, revision, time.monotonic() - began)
    vocabulary = Vocabulary(parts.tokenizer, parts.vocabulary_size)
    prefixes = fingerprint(revision.digest, mlx_lm.__version__, device.kind, info.dtype, parts.packing)
    return Loaded(
        parts.model,
        tokenizer_class(parts.tokenizer, vocabulary, parts.language, settings.grammar_max_kb << 10),
        info,
        device,
        checkpoint.default_sampling(folder),
        vocabulary,
        divide(budget - parts.weight_bytes, settings.prefix_cache_mb << 20, parts.cost),
        revision,
        partial(_read_again, reload, parts.packing, revision),
        partial(_open_disk, settings, prefixes),
        partial(bound_wired, settings, device),
        parts.speculation,
    )


@dataclass(frozen=True)
class _Parts:
    """What reading a checkpoint makes; `weight_bytes` and `cost` count the draft model, too."""

    model: Any
    tokenizer: Any
    language: Language
    vocabulary_size: int
    packing: Packing | None
    speculation: SpeculationPlan | None
    weight_bytes: int
    cost: kv.KvCost


def checked(read_parts: Callable[[], P], revision: Revision, model: str) -> P:
    """What was read; an error is that of files that changed meanwhile, of memory, or of the checkpoint."""
    try:
        return read_parts()
    except (MemoryError, ModelLoadFailed):
        raise
    except Exception as error:  # noqa: BLE001  # whatever a checkpoint makes the loader raise is the operator's answer
        revision.check()
        raise verdict(error, model) from None


def _read_parts(
    name: str,
    folder: Path,
    config: dict[str, Any],
    settings: Settings,
    read: Callable[[], tuple[Any, dict[str, Any]]],
    speaker: Callable[[Any], Any],
    cpu: CpuPolicy | None,
) -> _Parts:
    """Raises whatever a checkpoint makes a loader raise."""
    model, own = read()
    packing = packed.pack(speaker(model), Packing.of(settings))
    cost = kv.measure(speaker(model))
    tokenizer = open_tokenizer(folder, own.get("eos_token_id"))
    override_template(tokenizer, settings.chat_template)
    language = speak(name, tokenizer, settings)
    size = checkpoint.vocabulary_size(config, len(tokenizer))
    speculation = plan(TargetModel(name, folder, model, tokenizer, size, cpu), settings)
    weights = weight_bytes(model)
    if speculation is not None:
        weights, cost = weights + speculation.weight_bytes, speculation.with_room(cost)
    return _Parts(model, tokenizer, language, size, packing, speculation, weights, cost)


def _info(
    name: str, config: dict[str, Any], parts: _Parts, context: int, revision: Revision, load_s: float
) -> ModelInfo:
    return ModelInfo(
        name=name,
        context_length=context,
        parameters=parameter_count(parts.model),
        weight_bytes=parts.weight_bytes,
        dtype=dtype(parts.model),
        quantization=quantization(config),
        load_s=load_s,
        revision=revision.digest,
        kv_bytes_per_token=parts.cost.token_bytes or None,
        family=parts.language.family,
        reasoning=parts.language.reasoning.name if parts.language.reasoning is not None else None,
        tools=parts.language.tools.name if parts.language.tools is not None else None,
    )


def _cpu_policy(settings: Settings, load: Load) -> CpuPolicy:
    """Vision models have no int8 kernels."""
    kernels = settings.cpu_kernels
    if load is not load_text and kernels in ("auto", "int8"):
        return CpuPolicy(settings.cpu_dequantize)
    return CpuPolicy(settings.cpu_dequantize, kernels, packed_kv=settings.kv_bits != "off")


def _read_again(read: Callable[[], tuple[Any, dict[str, Any]]], packing: Packing | None, revision: Revision) -> Any:
    """The same weights; for others in their place (`run.py pull --update`) this process ends, and the next has them."""
    revision.check()
    model = read()[0]
    revision.check()
    if packing is not None:
        packing.apply(model)
    return model


def calibration_key(loaded: Loaded, settings: EngineSettings) -> str:
    """Of what decides how fast a model's steps are, and how they round: its files, this machine, versions, settings."""
    device = loaded.device
    machine = device.kind, device.name, device.blas, device.mlx_version, os.cpu_count()
    chosen = settings.speculative_method, settings.num_speculative_tokens, settings.draft_model, settings.max_num_seqs
    packing = settings.kv_bits, settings.kv_group_size, settings.cpu_kernels
    return fingerprint(loaded.revision.digest, mlx_lm.__version__, loaded.info.dtype, machine, chosen, packing)


def _open_disk(settings: Settings, model: str) -> Disk | None:
    """Where its prompts' beginnings outlive this process, if anywhere."""
    folder = settings.prefix_cache_path
    if folder is None:
        return None
    try:
        return Disk(folder, model, settings.prefix_cache_disk_mb << 20)
    except OSError as error:
        logger.warning("PREFIX_CACHE_DIR cannot be used: {}", error)
        return None


def divide(beside: int, prefix_bytes: int, cost: kv.KvCost) -> Room:
    """What the prefix cache may take of the memory beside the weights; the rest is for what runs."""
    prefix = min(prefix_bytes, max(beside, 0) // _PREFIX_SHARE)
    return Room(prefix, KvRoom(beside - prefix, cost.token_bytes, cost.row_bytes))


def budget_bytes(settings: Settings, device: DeviceReading) -> int:
    """What the engine may take in all: weights, caches and what runs."""
    total = device.memory_total_bytes or 0
    return memory_plan.budget_bytes(total, settings.mlx_memory_fraction, settings.memory_budget_mb)


def _context(model: str, config: dict[str, Any], settings: Settings, parts: _Parts, budget: int) -> int:
    """Tokens a sequence may have: the model's, MAX_MODEL_LEN's, and what memory holds beside the weights.

    Raises:
        ModelLoadFailed: memory holds too few for any use.
    """
    own, cost = catalog.context_length(config, settings.max_model_len), parts.cost
    fitting = checkpoint.fitting_context(own, cost.token_bytes, budget - parts.weight_bytes - cost.row_bytes)
    if fitting < min(own, _LEAST_CONTEXT):
        raise too_large(model, parts.weight_bytes + cost.row_bytes + _LEAST_CONTEXT * cost.token_bytes, budget)
    if fitting < own:
        logger.warning("the context is {} tokens of the model's {}: its KV cache has no more memory", fitting, own)
    return fitting


def verdict(error: Exception, model: str) -> Exception:
    """Whose fault it is that a load failed: the GPU's, or the checkpoint's."""
    if of_gpu(error):
        return error
    logger.opt(exception=error).error("loading {} failed", model)
    return ModelLoadFailed(f"The model {model!r} cannot be loaded: {_reason(error)}")


def _reason(error: Exception) -> str:
    """A loader's complaint in its own words: about the operator's own files, so it may be shown."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {' '.join(lines[:3])}"[:300] if lines else type(error).__name__


def dtype(model: Any) -> str:
    if has_int8_kernels(model):
        return "int8"
    sizes: dict[str, int] = {}
    for _, array in tree_flatten(model.parameters()):
        name = str(array.dtype).removeprefix("mlx.core.")
        sizes[name] = sizes.get(name, 0) + array.nbytes
    return max(sizes, key=lambda name: sizes[name])


def quantization(config: dict[str, Any]) -> str | None:
    """The kind that most matrices have; `mixed` where some have another."""
    found = config.get("quantization")
    if not isinstance(found, dict):
        return None
    mode = found.get("mode", "affine")
    kind = f"{found.get('bits')}-bit" if mode == "affine" else str(mode)
    own = {(one.get("bits"), one.get("mode", "affine")) for one in found.values() if isinstance(one, dict)}
    return f"{kind} mixed" if own - {(found.get("bits"), mode)} else kind
