"""The `mlx` engine for text models: mlx-lm's BatchGenerator, samplers, tokenizer and detokenizers.

A model is loaded and used on one thread, the engine's owner thread: MLX's streams are thread-local.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import mlx.core as mx
import mlx_lm
import msgspec
from loguru import logger
from mlx.utils import tree_flatten
from mlx_lm.utils import load_tokenizer
from msgspec.structs import replace

from src import catalog
from src.engine import checkpoint
from src.engine.backend import Grammar, KvRoom, Step, Token
from src.engine.mlx import kv, packed
from src.engine.mlx.batch import empty_batch
from src.engine.mlx.device import choose_device
from src.engine.mlx.embedding import MeanPooler
from src.engine.mlx.packed import Packing
from src.engine.mlx.prefix.cache import PrefixCache
from src.engine.mlx.prefix.disk import Disk, fingerprint
from src.engine.mlx.rows import RowGenerator, Rows
from src.engine.mlx.sampling import SamplingRow
from src.engine.mlx.scores import RowScores
from src.engine.mlx.speculation.batch import SpeculativeBatch, Speculator
from src.engine.mlx.speculation.plan import SpeculationPlan, TargetModel, plan
from src.engine.mlx.text import grammar as constraint
from src.engine.mlx.text.tokenizer import LmTokenizer
from src.engine.mlx.text.vocabulary import Vocabulary
from src.engine.mlx.weights import (
    Load,
    give_back,
    load_text,
    parameter_count,
    read_model,
    refuse_too_large,
    weight_bytes,
)
from src.engine.progress import LoadMeter
from src.engine.revision import Revision, of_checkpoint
from src.errors import ModelLoadFailed
from src.gpu import footprint
from src.gpu.faults import of_gpu
from src.ipc.messages.chat import Sampling, TokenLogprob
from src.ipc.messages.status import DeviceReading, KvReading, MemoryReading, ModelInfo, PrefixReading
from src.settings import EngineSettings, Settings

# the prefix cache takes at most a quarter of the memory beside the weights
_PREFIX_SHARE = 4


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
    speculation: SpeculationPlan | None = None


@dataclass(frozen=True)
class Resident:
    """A model's batch and caches while it is on the device."""

    rows: Rows
    prefixes: PrefixCache
    embedder: MeanPooler | None
    speculator: Speculator | None = None


class LmBackend:
    """A loaded text model and its batch."""

    name = "mlx"

    def __init__(self, loaded: Loaded, settings: EngineSettings) -> None:
        self.kv_room = loaded.room.kv
        self.device = loaded.device
        self.tokenizer = loaded.tokenizer
        self.end_tokens = loaded.tokenizer.end_tokens
        self._vocabulary = loaded.vocabulary
        self._defaults = loaded.defaults
        self._end_tokens = tuple(sorted(self.end_tokens))
        self._settings = settings
        self._room = loaded.room
        self._reload = loaded.reload
        self._open_disk = loaded.open_disk
        self._speculation = loaded.speculation
        self._on_device: Resident | None = self._build(loaded.model)
        size = self.embedder.size if self.embedder is not None else None
        self.info = replace(loaded.info, embedding_size=size)
        self._matchers: dict[int, constraint.Matcher] = {}

    def _build(self, model: Any) -> Resident:
        prefixes = PrefixCache(model, self._room.prefix_bytes, self._open_disk())
        speculator = self._speculation.begin() if self._speculation is not None else None
        rows = RowGenerator(
            model,
            prefixes,
            empty_batch(model) if speculator is None else SpeculativeBatch.start(model, speculator),
            stop_tokens=[(token,) for token in self._end_tokens],
            completion_batch_size=self._settings.max_num_seqs,
            prefill_batch_size=self._settings.max_num_seqs,
            prefill_step_size=self._settings.prefill_step_size,
        )
        return Resident(rows, prefixes, MeanPooler.of(model), speculator)

    @property
    def _resident(self) -> Resident:
        if self._on_device is None:
            raise RuntimeError("The model is offloaded.")
        return self._on_device

    @property
    def _generator(self) -> Rows:
        return self._resident.rows

    @property
    def _prefixes(self) -> PrefixCache:
        return self._resident.prefixes

    @property
    def embedder(self) -> MeanPooler | None:
        return self._on_device.embedder if self._on_device is not None else None

    def cached_prefix_length(self, prompt: list[int], salt: str) -> int | None:
        return self._prefixes.cached_prefix_length(salt, prompt)

    def load_prefix(self, prompt: list[int], salt: str, seconds: float) -> bool:
        return self._prefixes.load_prefix(salt, prompt, seconds)

    def insert(
        self,
        prompt: list[int],
        max_tokens: int,
        sampling: Sampling,
        prefix: int = 0,
        grammar: Grammar | None = None,
        salt: str = "",
        media: object | None = None,
    ) -> int:
        row = self._row(sampling, len(prompt) - prefix, prefix)
        uid = self._generator.add(prompt, max_tokens, row, salt, media)
        if isinstance(grammar, constraint.CompiledGrammar):
            row.matcher = self._matchers[uid] = grammar.start(prompt, prefix)
        return uid

    def _row(self, wish: Sampling, prompt_tokens: int, made: int) -> SamplingRow:
        """A request's parameters; what it leaves open is as the model's makers recommend."""
        own = self._defaults
        bias = tuple(wish.logit_bias.items())
        if wish.ignore_eos:
            bias += tuple((token, -float("inf")) for token in self._end_tokens)
        return SamplingRow(
            prompt_tokens,
            temperature=_either(wish.temperature, own.temperature, 1.0),
            top_p=_either(wish.top_p, own.top_p, 1.0),
            top_k=int(_either(wish.top_k, own.top_k, 0)),
            min_p=_either(wish.min_p, own.min_p, 0.0),
            frequency_penalty=wish.frequency_penalty,
            presence_penalty=wish.presence_penalty,
            repetition_penalty=_either(wish.repetition_penalty, own.repetition_penalty, 1.0),
            bias=bias,
            seed=wish.seed,
            made=made,
            logprobs=wish.logprobs,
        )

    def step(self, prefill: int | None = None) -> Step:
        self._generator.set_prefill_budget(prefill or self._settings.prefill_step_size)
        left, generated = self._generator.next()
        tokens = [
            Token(reply.uid, reply.token, reply.finish_reason, self._logprob(reply.logprobs)) for reply in generated
        ]
        failed = self._failures(tokens) if self._matchers else {}
        speculator = self._resident.speculator
        guessed = speculator.take_count() if speculator is not None else None
        return Step(tokens, left, failed, self._generator.times(), guessed)

    def _failures(self, tokens: list[Token]) -> dict[int, str]:
        """Constrained sequences whose grammar has reached one of its limits; they are forgotten."""
        for token in tokens:
            if token.finish:
                self._matchers.pop(token.uid, None)
        failed = {uid: matcher.problem for uid, matcher in self._matchers.items() if matcher.problem is not None}
        if failed:
            self.remove(list(failed))
        return failed

    def _logprob(self, scores: RowScores | None) -> TokenLogprob | None:
        return None if scores is None else self._vocabulary.logprob(scores)

    def remove(self, uids: list[int]) -> None:
        self._generator.drop(uids)
        for uid in uids:
            self._matchers.pop(uid, None)

    def tidy(self) -> None:
        clean()

    def trim(self) -> None:
        if self._on_device is not None:
            self._prefixes.evict()
        clean()

    def caches(self) -> tuple[KvReading | None, PrefixReading | None]:
        present, limit = self._on_device, self.kv_room.limit_bytes
        if present is None:
            return KvReading(0, limit), None
        return KvReading(present.rows.kv_bytes, limit), present.prefixes.reading()

    def to_host(self) -> None:
        """Drop the arrays: their files stay in the system's page cache, from where they come back fast."""
        self.close()
        self._on_device = None
        clean()
        give_back()

    def to_device(self) -> None:
        self._on_device = self._build(self._reload())

    def memory(self) -> MemoryReading:
        return msgspec.structs.replace(
            footprint.own(),
            mlx_active_bytes=mx.get_active_memory(),
            mlx_cache_bytes=mx.get_cache_memory(),
            mlx_peak_bytes=mx.get_peak_memory(),
            mlx_limit_bytes=mx.get_memory_limit(),
        )

    def close(self) -> None:
        if self._on_device is not None:
            self._generator.close()
            self._prefixes.close()


def clean() -> None:
    """Objects that only refer to each other, then the buffers that MLX keeps for the next ones of their size."""
    gc.collect()
    mx.clear_cache()


def load_lm(model: str, settings: Settings, blas: str | None, progress: LoadMeter) -> LmBackend:
    """Load a checkpoint; raises as `read`."""
    found = read(model, settings, blas, progress)
    found.revision.check()
    return LmBackend(found, settings)


def read(
    model: str,
    settings: Settings,
    blas: str | None,
    progress: LoadMeter,
    load: Load = load_text,
    tokenizer_class: type[LmTokenizer] = LmTokenizer,
    speaker: Callable[[Any], Any] = lambda module: module,
) -> Loaded:
    """Read a checkpoint and all that is said of it; `load` makes its module, `speaker` is the part that has caches.

    Raises:
        ModelLoadFailed: when it is missing, damaged, or of an unknown architecture; the reason is in the text.
        MemoryError: when there is no room for it now.
        FilesChanged: when it was replaced meanwhile.
    """
    started = time.monotonic()
    device = choose_device(settings, blas)
    folder = checkpoint.locate(model, settings.models_path)
    revision = of_checkpoint(folder, settings)
    config = checkpoint.read_config(folder)
    clean()
    refuse_too_large(folder, model)
    float32 = settings.cpu_dequantize if device.kind == "cpu" and sys.platform == "linux" else None
    reload = partial(read_model, folder, float32, progress, load)
    try:
        loaded, own = reload()
        packing = packed.pack(speaker(loaded), Packing.of(settings))
        cost = kv.measure(speaker(loaded))
        tokenizer = load_tokenizer(folder, {"trust_remote_code": False}, eos_token_ids=own.get("eos_token_id"))
        tokens = checkpoint.vocabulary_size(config, len(tokenizer))
        speculation = plan(TargetModel(model, folder, loaded, tokenizer, tokens, float32), settings)
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001  # whatever a checkpoint makes the loader raise is the operator's answer
        revision.check()
        raise verdict(error, model) from None
    weights = weight_bytes(loaded)
    if speculation is not None:
        weights, cost = weights + speculation.weight_bytes, speculation.with_room(cost)
    beside = _budget(settings, device) - weights
    info = ModelInfo(
        name=model,
        context_length=_context(config, settings, beside, cost),
        parameters=parameter_count(loaded),
        weight_bytes=weights,
        dtype=_dtype(loaded),
        quantization=_quantization(config),
        load_s=time.monotonic() - started,
        revision=revision.digest,
        kv_bytes_per_token=cost.token_bytes or None,
    )
    vocabulary = Vocabulary(tokenizer, tokens)
    room = divide(beside, settings.prefix_cache_mb << 20, cost)
    return Loaded(
        loaded,
        tokenizer_class(tokenizer, vocabulary, settings.grammar_max_kb << 10),
        info,
        device,
        checkpoint.default_sampling(folder),
        vocabulary,
        room,
        revision,
        partial(_read_again, reload, packing, revision),
        partial(
            _open_disk, settings, fingerprint(revision.digest, mlx_lm.__version__, device.kind, info.dtype, packing)
        ),
        speculation,
    )


def _read_again(read: Callable[[], tuple[Any, dict[str, Any]]], packing: Packing | None, revision: Revision) -> Any:
    """The same weights; for others in their place (`run.py pull --update`) this process ends, and the next has them."""
    revision.check()
    model = read()[0]
    revision.check()
    if packing is not None:
        packing.apply(model)
    return model


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


def _either(wish: float | None, own: float | None, last: float) -> float:
    return wish if wish is not None else own if own is not None else last


def _budget(settings: Settings, device: DeviceReading) -> int:
    return settings.memory_budget_mb << 20 or int(settings.mlx_memory_fraction * (device.memory_total_bytes or 0))


def _context(config: dict[str, Any], settings: Settings, beside: int, cost: kv.KvCost) -> int:
    """Tokens a sequence may have: the model's, MAX_MODEL_LEN's, and what memory holds beside the weights."""
    own = catalog.context_length(config, settings.max_model_len)
    fitting = checkpoint.fitting_context(own, cost.token_bytes, beside - cost.row_bytes)
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
    """The first line of a loader's complaint: about the operator's own files, so it may be shown."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def _dtype(model: Any) -> str:
    sizes: dict[str, int] = {}
    for _, array in tree_flatten(model.parameters()):
        name = str(array.dtype).removeprefix("mlx.core.")
        sizes[name] = sizes.get(name, 0) + array.nbytes
    return max(sizes, key=lambda name: sizes[name])


def _quantization(config: dict[str, Any]) -> str | None:
    quantization = config.get("quantization")
    return f"{quantization.get('bits')}-bit" if isinstance(quantization, dict) else None
