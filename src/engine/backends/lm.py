"""The `mlx` engine for text models: mlx-lm's BatchGenerator, samplers, tokenizer and detokenizers.

A model is loaded and used on one thread, the engine's owner thread: MLX's streams are thread-local.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence as Seq
from functools import lru_cache
from pathlib import Path
from typing import Any

import mlx.core as mx
import psutil
from loguru import logger
from mlx.utils import tree_flatten
from mlx_lm.generate import BatchGenerator
from mlx_lm.sample_utils import make_sampler
from mlx_lm.utils import hf_repo_to_path
from mlx_lm.utils import load as mlx_load

from src.engine import checkpoint
from src.engine.backends import Step, Token
from src.engine.backends.device import choose_device
from src.engine.backends.weights import make_float32, parameter_count, weight_bytes
from src.errors import InvalidRequest, ModelLoadFailed
from src.gpu.watermarks import fits
from src.ipc.messages import ChatMessage, DeviceReading, MemoryReading, ModelInfo, Sampling
from src.settings import EngineSettings, Settings


class LmTokenizer:
    """mlx-lm's tokenizer wrapper. Used on the tokenizer thread; detokenizers are copies of their own."""

    def __init__(self, wrapped: Any) -> None:
        self._wrapped = wrapped

    def encode_chat(self, messages: Seq[ChatMessage]) -> list[int]:
        if not self._wrapped.has_chat_template:
            raise InvalidRequest("This model has no chat template; it cannot chat.", param="model")
        turns = [{"role": message.role, "content": message.content} for message in messages]
        try:
            return list(self._wrapped.apply_chat_template(turns, add_generation_prompt=True))
        except Exception as error:  # noqa: BLE001  # a template raises what its author chose to
            logger.info("the chat template refused a conversation: {}", type(error).__name__)
            raise InvalidRequest("The model's chat template refuses this conversation.", param="messages") from None

    def detokenizer(self) -> LmDetokenizer:
        return LmDetokenizer(self._wrapped.detokenizer)


class LmDetokenizer:
    """mlx-lm's streaming detokenizer; it holds back what is not yet a whole character."""

    def __init__(self, wrapped: Any) -> None:
        self._wrapped = wrapped

    def add(self, token: int) -> str:
        self._wrapped.add_token(token)
        return str(self._wrapped.last_segment)

    def flush(self) -> str:
        """What was held back. Half a character at the very end (max_tokens cut it) is left out, not garbled."""
        self._wrapped.finalize()
        return str(self._wrapped.last_segment).rstrip("\ufffd")


class LmBackend:
    """A loaded text model and its batch."""

    name = "mlx"

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        info: ModelInfo,
        device: DeviceReading,
        settings: EngineSettings,
        sampling: tuple[float, float],
    ) -> None:
        self.info = info
        self.device = device
        self.tokenizer = LmTokenizer(tokenizer)
        self.end_tokens = frozenset(tokenizer.eos_token_ids)
        self._temperature, self._top_p = sampling
        # samplers are shared by rows with the same parameters, so that such rows are sampled in one call
        self._sampler = lru_cache(maxsize=256)(make_sampler)
        self._generator = BatchGenerator(
            model,
            stop_tokens=[(token,) for token in tokenizer.eos_token_ids],
            completion_batch_size=settings.max_num_seqs,
            prefill_batch_size=settings.max_num_seqs,
            prefill_step_size=settings.prefill_step_size,
        )

    def insert(self, prompt: list[int], max_tokens: int, sampling: Sampling, prefix: int = 0) -> int:  # noqa: ARG002
        temperature = self._temperature if sampling.temperature is None else sampling.temperature
        top_p = self._top_p if sampling.top_p is None else sampling.top_p
        # mlx-lm reads top_p 0 as "off"; OpenAI's 0 means the likeliest token alone
        sampler = self._sampler(0.0 if top_p == 0 else temperature, top_p)
        uids: list[int] = self._generator.insert([prompt], max_tokens=[max_tokens], samplers=[sampler])
        return uids[0]

    def step(self) -> Step:
        prefill, generated = self._generator.next()
        left = {reply.uid: reply.progress[1] - reply.progress[0] for reply in prefill}
        return Step([Token(reply.uid, reply.token, reply.finish_reason) for reply in generated], left)

    def remove(self, uids: list[int]) -> None:
        self._generator.remove(uids)

    def trim(self) -> None:
        mx.clear_cache()

    def memory(self) -> MemoryReading:
        return MemoryReading(
            rss_bytes=psutil.Process().memory_info().rss,
            mlx_active_bytes=mx.get_active_memory(),
            mlx_cache_bytes=mx.get_cache_memory(),
            mlx_peak_bytes=mx.get_peak_memory(),
            mlx_limit_bytes=mx.get_memory_limit(),
        )

    def close(self) -> None:
        self._generator.close()


def load_lm(model: str, settings: Settings, blas: str | None) -> LmBackend:
    """Load a checkpoint from a folder or the hub.

    Raises:
        ModelLoadFailed: when it is missing, damaged, or of an unknown architecture; the reason is in the text.
    """
    started = time.monotonic()
    device = choose_device(settings, blas)
    folder = _fetch(model, settings.models_path)
    config = checkpoint.read_config(folder)
    _refuse_too_large(folder, model)
    try:
        loaded, tokenizer = mlx_load(str(folder), tokenizer_config={"trust_remote_code": False})
    except Exception as error:  # noqa: BLE001  # whatever a checkpoint makes the loader raise is the operator's answer
        logger.opt(exception=True).error("loading {} failed", model)
        raise ModelLoadFailed(f"The model {model!r} cannot be loaded: {_reason(error)}") from None
    parameters = parameter_count(loaded)
    if device.kind == "cpu" and sys.platform == "linux":
        make_float32(loaded, settings.cpu_dequantize)
    info = ModelInfo(
        name=model,
        context_length=checkpoint.context_length(config, settings.max_model_len),
        parameters=parameters,
        weight_bytes=weight_bytes(loaded),
        dtype=_dtype(loaded),
        quantization=_quantization(config),
        load_s=time.monotonic() - started,
    )
    return LmBackend(loaded, tokenizer, info, device, settings, checkpoint.default_sampling(folder))


def _fetch(model: str, models_path: Path) -> Path:
    found = checkpoint.locate(model, models_path)
    if found.folder is not None:
        return found.folder
    logger.info("fetching {} from the Hugging Face hub", model)
    try:
        return Path(hf_repo_to_path(model))
    except Exception:  # noqa: BLE001  # not in the cache, or only in part: the loader fetches it
        return _download(model)


def _download(model: str) -> Path:
    from huggingface_hub import snapshot_download  # noqa: PLC0415  # only models that are not here need the hub

    wanted = ["*.json", "model*.safetensors", "tokenizer.model", "*.tiktoken", "*.txt", "*.jinja"]
    try:
        return Path(snapshot_download(model, allow_patterns=wanted))
    except Exception as error:  # noqa: BLE001  # network, disk and hub errors have no common base
        logger.opt(exception=True).error("fetching {} failed", model)
        raise ModelLoadFailed(
            f"The model {model!r} is not local and cannot be fetched from the Hugging Face hub "
            f"({type(error).__name__}). Put it under MODELS_DIR, or set DEFAULT_MODEL=demo."
        ) from None


def _refuse_too_large(folder: Path, model: str) -> None:
    """Better a reason now than a machine that swaps itself to death."""
    needed = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    available = psutil.virtual_memory().available
    if not fits(needed, available):
        raise ModelLoadFailed(
            f"The model {model!r} needs {needed >> 20} MB for its weights; {available >> 20} MB of memory are free."
        )


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
