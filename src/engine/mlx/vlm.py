"""The `mlx` engine for vision models: mlx-vlm's architectures, processors and batch under our sampler and tokenizer.

What a text model can, these can: the same fields, grammars, tools, seeds. Prompts are not shared between requests (no
prefix cache), and there are no embeddings. `load_vlm` proves at load that a batch of this architecture gives the text
that its rows give alone; one that does not serves one request at a time.
"""

from __future__ import annotations

from collections.abc import Sequence as Seq
from functools import partial
from pathlib import Path
from typing import Any, Literal

import mlx.core as mx
import numpy as np
from jinja2 import TemplateError
from loguru import logger
from mlx_vlm.prompt_utils import apply_chat_template
from mlx_vlm.utils import get_model_and_args, load_image_processor, load_model, load_processor, prepare_inputs
from PIL import Image

from src import logs
from src.engine import checkpoint, pictures
from src.engine.backend import Grammar
from src.engine.calibration import CalibrationStore
from src.engine.mlx import batch_check, lm_checkpoint, vision_mends
from src.engine.mlx.lm import LmBackend, ResidentModel, opened
from src.engine.mlx.lm_checkpoint import Loaded
from src.engine.mlx.prefix.cache import PrefixCache
from src.engine.mlx.text.render_deadline import TemplateTooSlow, render_deadline
from src.engine.mlx.text.tokenizer import RENDER_S, LmTokenizer, turn_json
from src.engine.mlx.vision import Media, MovedArray, VisionRows
from src.engine.progress import LoadMeter
from src.errors import InvalidRequest, ModelLoadFailed
from src.gpu.faults import of_gpu
from src.ipc.messages.chat import ChatMessage, GenerateRequest, ImagePart, Sampling
from src.settings import EngineSettings, Settings, work_offline

_PROBE_SIDE = 64
_REFUSED = "The model's processor refuses these images."
_LONGEST_REASON = 400
_AS_PRINTED = "{'type': 'image'}"  # what a template shows that takes content for a text
Pictures = Literal["parts", "none"]
# what processors say of pictures they do not like, and architectures of batches they cannot compute
_COMPLAINTS = (ValueError, TypeError, RuntimeError, LookupError, AttributeError, OSError)


class VlmTokenizer(LmTokenizer):
    """Conversations with pictures: the template marks their places, the processor makes tokens and pixels of them."""

    def see(self, processor: Any, settings: Settings, config: Any) -> None:
        """`config`: the model's own, as mlx-vlm reads it."""
        self._processor = processor
        self._config = config
        self._image_token = getattr(config, "image_token_index", None)
        self._pictures: Pictures = "parts"
        self._limits = (settings.image_max_megapixels, settings.image_max_side)
        self._seen: tuple[tuple[ChatMessage, ...], Media] | None = None

    def media(self, request: GenerateRequest) -> Media | None:
        """Of the request that was encoded last."""
        return self._seen[1] if self._seen is not None and self._seen[0] is request.messages else None

    def _render(self, messages: Seq[ChatMessage], options: dict[str, Any]) -> list[int]:
        found = [
            (part, f"messages[{at}].content")
            for at, message in enumerate(messages)
            for part in message.parts
            if isinstance(part, ImagePart)
        ]
        if not found:
            return self._render_text(messages, options)
        megapixels, side = self._limits
        shown = [pictures.decode(part.data, at, max_megapixels=megapixels, max_side=side) for part, at in found]
        made = self._processed(self._prompt(messages, options), shown)
        inputs = {name: _plain(value) for name, value in made.items() if name not in ("input_ids", "attention_mask")}
        if not inputs:
            error = ValueError(f"{type(self._processor).__name__} makes nothing of a picture")
            raise InvalidRequest(_REFUSED, param="messages") from error
        tokens = [int(token) for token in np.array(made["input_ids"])[0]]
        kept = vision_mends.kept_tokens(made, self._config)
        self._seen = (tuple(messages), Media(inputs, len(tokens), kept))
        return tokens

    def _processed(self, text: str, shown: list[Image.Image]) -> Any:
        """Tokens and pixels, as the model's processor makes them."""
        bare = not self._wrapped.has_chat_template
        try:
            return prepare_inputs(
                self._processor,
                images=shown,
                prompts=[text],
                image_token_index=self._image_token,
                add_special_tokens=bare,
            )
        except _COMPLAINTS as error:
            logger.info("a processor refused pictures: {}", type(error).__name__)
            raise InvalidRequest(_REFUSED, param="messages") from error

    def _render_text(self, messages: Seq[ChatMessage], options: dict[str, Any]) -> list[int]:
        if self._wrapped.has_chat_template:
            return super()._render(messages, options)
        return list(self._wrapped.encode(self._family_prompt(messages, options)))

    def _prompt(self, messages: Seq[ChatMessage], options: dict[str, Any]) -> str:
        """The conversation's text: pictures as the template shows them, else as mlx-vlm writes them for the family."""
        text = self._pictured("parts", messages, options)
        if text is None or _AS_PRINTED in text or text == self._pictured("none", messages, options):
            return self._family_prompt(messages, options)
        return text

    def _pictured(self, pictures: Pictures, messages: Seq[ChatMessage], options: dict[str, Any]) -> str | None:
        self._pictures = pictures
        try:
            return str(self._templated(messages, tokenize=False, **options))
        except InvalidRequest:
            return None
        finally:
            self._pictures = "parts"

    def _family_prompt(self, messages: Seq[ChatMessage], options: dict[str, Any]) -> str:
        """For templates that take texts alone, and for models without one."""
        turns, given = [self._turn(message) for message in messages], dict(options)
        if self._wrapped.has_chat_template:
            given["chat_template"] = self._wrapped.chat_template
        try:
            with render_deadline(RENDER_S):
                made = apply_chat_template(self._processor, {"model_type": self._config.model_type}, turns, **given)
        except (*_COMPLAINTS, TemplateError, TemplateTooSlow) as error:
            raise InvalidRequest("The model's chat template refuses this conversation.", param="messages") from error
        return str(made.get("content", "")) if isinstance(made, dict) else str(made)

    def _turn(self, message: ChatMessage) -> dict[str, Any]:
        if not any(isinstance(part, ImagePart) for part in message.parts):
            return turn_json(message)
        content = [
            {"type": "image"} if isinstance(part, ImagePart) else {"type": "text", "text": part}
            for part in message.parts
            if self._pictures == "parts" or not isinstance(part, ImagePart)
        ]
        return turn_json(message) | {"content": content}


class VlmBackend(LmBackend):
    """A loaded vision model and its batch."""

    tokenizer: VlmTokenizer

    def __init__(
        self, processor: Any, loaded: Loaded, settings: EngineSettings, store: CalibrationStore | None = None
    ) -> None:
        self._processor = processor
        super().__init__(loaded, settings, store)

    def _build(self, model: Any) -> ResidentModel:
        if self._batches is None:
            self._batch_problem = self._known_batch_problem(model)
            self._batches = self._batch_problem is None
        together = self._settings.max_num_seqs if self._batches else 1
        return ResidentModel(self._vision_rows(model, together), PrefixCache(model.language_model, 0), None)

    def _vision_rows(self, model: Any, batch: int) -> VisionRows:
        return VisionRows(
            model,
            self._processor,
            stop_tokens=set(self.end_tokens),
            batch=batch,
            step_size=self._settings.prefill_step_size,
        )

    def _check_batch(self, model: Any) -> str | None:
        probes = self._probes()
        return batch_check.problem(self.info.name, lambda rows: self._vision_rows(model, rows), probes, self._tolerance)

    def picture_sample(self) -> batch_check.Probe:
        return self._probes()[1]

    def insert(
        self,
        prompt: list[int],
        max_tokens: int,
        sampling: Sampling,
        prefix: int = 0,
        grammar: Grammar | None = None,
        salt: str = "",
        media: object | None = None,
        prediction: Seq[int] = (),
    ) -> int:
        """Pictures that the architecture cannot compute fail their own request."""
        try:
            return super().insert(prompt, max_tokens, sampling, prefix, grammar, salt, media, prediction)
        except _COMPLAINTS as error:
            if media is None or of_gpu(error):
                raise
            logger.opt(exception=True).warning("pictures cannot be computed")
            raise InvalidRequest("The model cannot compute these images.", param="messages") from error

    def _probes(self) -> list[batch_check.Probe]:
        """Prompts of different lengths, with a picture and without."""
        grey = Image.linear_gradient("L").resize((_PROBE_SIDE, _PROBE_SIDE)).convert("RGB")
        asked = [GenerateRequest("probe", "", (ChatMessage("user", "Hello"),)), _picture_request(grey, "What is this?")]
        asked.append(_picture_request(grey.rotate(90), "What?"))
        try:
            return [(self.tokenizer.encode(request), self.tokenizer.media(request)) for request in asked]
        except InvalidRequest as error:
            why = error.__cause__ or error
            text = f"The model {self.info.name!r} cannot read images: {type(why).__name__}: {why}"
            raise ModelLoadFailed(text[:_LONGEST_REASON]) from error


def _picture_request(picture: Image.Image, text: str) -> GenerateRequest:
    return GenerateRequest("probe", "", (ChatMessage("user", text, parts=(pictures.encode(picture), text)),))


def load_vlm(
    model: str, settings: Settings, blas: str | None, progress: LoadMeter, store: CalibrationStore | None = None
) -> VlmBackend:
    """Load a checkpoint; raises as `lm.load_lm`."""
    folder = checkpoint.locate(model, settings.models_path)
    config = checkpoint.read_config(folder)
    if "model_file" in config or any(folder.rglob("*.py")):
        raise ModelLoadFailed(f"The model {model!r} brings code of its own, which is never run.")
    work_offline()
    if settings.kv_bits != "off":
        logs.model.warning("KV_BITS={}: vision models' keys and values stay as they are", settings.kv_bits)
        settings = settings.model_copy(update={"kv_bits": "off"})
    if settings.speculative_method != "off":
        logs.model.warning("SPECULATIVE_METHOD={}: vision models decode without guesses", settings.speculative_method)
        settings = settings.model_copy(update={"speculative_method": "off"})
    if settings.prefix_cache_dir is not None:
        logs.model.warning("PREFIX_CACHE_DIR: vision models keep nothing of their prompts")
    settings = settings.model_copy(update={"prefix_cache_mb": 0, "prefix_cache_dir": None})  # all room is for what runs
    found = lm_checkpoint.read(model, settings, blas, progress, partial(_load, config=config), VlmTokenizer, _speaker)
    try:
        processor = _processor(folder, config)
    except Exception as error:  # noqa: BLE001  # a damaged processor raises anything
        found.revision.check()
        raise lm_checkpoint.verdict(error, model) from None
    found.revision.check()
    if not isinstance(found.tokenizer, VlmTokenizer):
        raise TypeError("a vision model needs a VlmTokenizer")
    found.tokenizer.see(processor, settings, found.model.config)
    return VlmBackend(processor, found, settings, opened(store, found, settings))


def _load(folder: Path, config: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    return vision_mends.of_model(load_model(folder, lazy=True)), config


def _processor(folder: Path, config: dict[str, Any]) -> Any:
    """A checkpoint's processor; architectures with an image processor of their own have none in their files."""
    processor = load_processor(folder, True, eos_token_ids=config.get("eos_token_id"), trust_remote_code=False)
    own = getattr(get_model_and_args(config)[0], "ImageProcessor", None)
    if own is not None and getattr(processor, "image_processor", None) is None:
        processor.image_processor = load_image_processor(folder)
    return vision_mends.of_processor(processor)


def _speaker(module: Any) -> Any:
    return module.language_model


def _plain(value: Any) -> Any:
    """Arrays of the tokenizer's thread as they may leave it: MLX's belong to the thread that made them."""
    if isinstance(value, mx.array):
        return MovedArray(np.array(value.astype(mx.float32) if value.dtype == mx.bfloat16 else value))
    if type(value) in (list, tuple):
        return type(value)(map(_plain, value))
    return value
