"""Loads an embedding model or a reranker from its checkpoint. Owner thread.

mlx-vlm has the architectures; what sentence-transformers writes beside the weights says how vectors are made.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loguru import logger
from mlx_vlm.embedding_loader import load_embedding_model
from mlx_vlm.reranker_loader import load_sequence_classification_model

from src import encoders
from src.encoders import EncoderFacts, ModelKind
from src.engine import checkpoint
from src.engine.mlx.device import choose_device
from src.engine.mlx.encoders import judge, passes
from src.engine.mlx.encoders.judge import JudgeTokenizer
from src.engine.mlx.encoders.passes import Encoder
from src.engine.mlx.encoders.tokenizer import EncoderTokenizer, open_file, padding_id
from src.engine.mlx.lm_checkpoint import budget_bytes, checked, dtype, quantization
from src.engine.mlx.weights import (
    CpuPolicy,
    clean,
    fuse_encoder,
    parameter_count,
    read_model,
    refuse_too_large,
    weight_bytes,
)
from src.engine.progress import LoadMeter
from src.engine.revision import Revision
from src.ipc.messages.status import DeviceReading, ModelInfo
from src.settings import Settings, work_offline

_POOLING = {"bert": "mean", "xlm_roberta": "mean", "modernbert": "mean", "qwen3": "lasttoken", "gemma3_text": "mean"}
_LONGEST_CONTEXT = 8192  # attention over a longer text, in both directions, has no use that its memory is worth
_NO_WINDOW = 1 << 30
_SCORE_BYTES = 8  # of a pair of tokens, in each head: its score and its weight


@dataclass(frozen=True)
class LoadedEncoder:
    """What is known of a checkpoint that was read; `reload` reads its weights once more."""

    checkpoint: EncoderCheckpoint
    tokenizer: EncoderTokenizer
    info: ModelInfo
    device: DeviceReading
    revision: Revision

    def reload(self) -> Any:
        """The same weights; raises FilesChanged for others in their place."""
        self.revision.check()
        model = self.checkpoint.read()
        self.revision.check()
        return model


@dataclass(frozen=True)
class EncoderCheckpoint:
    """A folder, and how it is read."""

    folder: Path
    config: dict[str, Any]
    facts: EncoderFacts
    kind: ModelKind
    padding: int
    separator: int | None
    answers: tuple[int, int] | None
    cpu: CpuPolicy | None
    progress: LoadMeter

    def read(self) -> Any:
        model = read_model(self.folder, self.cpu, self.progress, self._module)[0]
        if self.cpu is not None and self.cpu.kernels is None and self.answers is None:
            fuse_encoder(model)
        return model

    def _module(self, folder: Path) -> tuple[Any, dict[str, Any]]:
        if self.answers is not None:
            return judge.load(folder, self.config)
        load = load_embedding_model if self.kind == "embedding" else load_sequence_classification_model
        return passes.mended(load(folder, lazy=True), cpu=self.cpu is not None), self.config

    @property
    def pooling(self) -> dict[str, Any]:
        return self.facts.pooling or {"pooling_mode": _POOLING[encoders.model_type(self.config)]}

    def build(self, model: Any) -> Encoder:
        if self.answers is not None:
            return Encoder(judge.judged(model, self.answers), 1, self.padding)
        if self.kind == "rerank":
            return Encoder(passes.classified(model), 1, self.padding, self.separator)
        forward = passes.pooled(model, self.pooling)
        if encoders.model_type(self.config) == "gemma3_text":
            forward = passes.projected(model, self.pooling, int(self.config.get("sliding_window") or 0) or _NO_WINDOW)
        return Encoder(forward, int(self.config["hidden_size"]), self.padding)


def load(model: str, settings: Settings, blas: str | None, progress: LoadMeter) -> tuple[Any, LoadedEncoder]:
    """A checkpoint's module, and what is known of it; raises as `lm_checkpoint.read`."""
    began = time.monotonic()
    device = choose_device(settings, blas)
    work_offline()
    folder = checkpoint.locate(model, settings.models_path)
    revision = Revision.of((folder,))
    config = checkpoint.read_config(folder)
    clean()
    budget = budget_bytes(settings, device)
    refuse_too_large(folder, model, budget)
    tokenizer = open_file(folder)
    on_cpu = device.kind == "cpu"
    source = checked(lambda: _source(folder, config, tokenizer, settings, progress, on_cpu=on_cpu), revision, model)
    module = checked(source.read, revision, model)
    revision.check()
    context = _context(source, settings, budget - weight_bytes(module))
    info = _info(model, module, source, context, revision.digest, time.monotonic() - began)
    reader = EncoderTokenizer if source.answers is None else JudgeTokenizer
    return module, LoadedEncoder(source, reader(tokenizer, source.facts, context), info, device, revision)


def _source(
    folder: Path, config: dict[str, Any], tokenizer: Any, settings: Settings, progress: LoadMeter, *, on_cpu: bool
) -> EncoderCheckpoint:
    kind, facts = encoders.kind(folder, config), encoders.read(folder, config)
    typed = encoders.model_type(config) == "bert"
    return EncoderCheckpoint(
        folder,
        config,
        facts,
        kind,
        padding_id(tokenizer, config),
        tokenizer.token_to_id("[SEP]") if typed and kind == "rerank" else None,
        judge.answers(facts, tokenizer) if kind == "rerank" and encoders.judges(config) else None,
        _cpu_policy(settings) if on_cpu and sys.platform == "linux" else None,
        progress,
    )


def _cpu_policy(settings: Settings) -> CpuPolicy:
    """There are no int8 kernels for these. Unless CPU_KERNELS names MLX's, onnxruntime computes what it knows."""
    kernels = settings.cpu_kernels
    return CpuPolicy(settings.cpu_dequantize, None if kernels in ("auto", "int8") else kernels)


def _context(source: EncoderCheckpoint, settings: Settings, room_bytes: int) -> int:
    """Tokens of a text: as the checkpoint says, and as attention over them fits the memory."""
    limits = (settings.max_model_len, _LONGEST_CONTEXT)
    own = encoders.context_length(source.config, source.facts.limits, limits)
    heads = int(source.config.get("num_attention_heads") or 1)
    fitting = max(1, int((max(0, room_bytes) / (_SCORE_BYTES * heads)) ** 0.5))
    if fitting < own:
        logger.warning("the context is {} tokens of the model's {}: attention has no more memory", fitting, own)
    return min(own, fitting)


def _info(name: str, module: Any, source: EncoderCheckpoint, context: int, revision: str, load_s: float) -> ModelInfo:
    vectors = source.kind == "embedding"
    return ModelInfo(
        name=name,
        context_length=context,
        parameters=parameter_count(module),
        weight_bytes=weight_bytes(module),
        dtype=dtype(module),
        quantization=quantization(source.config),
        load_s=load_s,
        embedding_size=source.build(module).size,
        revision=revision,
        kind=source.kind,
        normalizes=vectors and source.facts.normalizes,
        pooling=_pooling_name(source.pooling) if vectors else None,
        prompts=tuple(source.facts.prompts),
    )


def _pooling_name(pooling: dict[str, Any]) -> str:
    """As sentence-transformers calls it today; older files have a switch for each kind."""
    chosen = [key.removeprefix("pooling_mode_").removesuffix("_tokens") for key, on in pooling.items() if on is True]
    return str(pooling.get("pooling_mode") or ", ".join(one for one in chosen if one != "include_prompt"))
