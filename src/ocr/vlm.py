"""OCR with vision-language models through mlx-vlm: temperature 0, stopped at repetition loops.

Runs in an OCR worker only, on one thread. Pages are read one at a time unless `vlm_batch` has verified that batching
does not change the text. Pages are passed as images in memory; no client string reaches mlx-vlm's loader, which would
open files and URLs.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from loguru import logger
from PIL import Image
from typing_extensions import override

from src.errors import ModelLoadFailed
from src.gpu import blas, device_lock
from src.gpu.device_lock import DeviceTurns
from src.gpu.frameworks import MlxWeights
from src.ocr import loops, vlm_batch, vlm_models
from src.ocr.reading import BatchRecognizer, Pixels, Reading, StopReason
from src.ocr.vlm_batch import Batch
from src.settings import work_offline

_CHECK_EVERY = 8  # tokens between two loop checks


class VlmRecognizer(BatchRecognizer):
    """The model, loaded and warm."""

    name = "mlx_vlm"
    languages = None
    at_once = 1

    def __init__(
        self,
        folder: Path,
        max_tokens: int,
        blas_library: Path | None,
        turns: DeviceTurns = device_lock.unshared,
        at_once: int = 1,
    ) -> None:
        kind = _model_type(folder)
        work_offline()
        blas.preload(blas_library)  # before MLX is imported
        import mlx.core as mx
        import mlx_vlm
        from mlx_vlm.prompt_utils import apply_chat_template

        if sys.platform == "linux" and not mx.metal.is_available():
            mx.disable_compile()  # mx.compile would run g++ for seconds and load its output from a temporary folder
        self._stream = mlx_vlm.stream_generate
        self._model, self._processor = mlx_vlm.load(str(folder))
        self._weights = MlxWeights(self._model)
        self._kind = vlm_models.of(kind)
        self._prompt = apply_chat_template(self._processor, self._model.config, self._kind.prompt, num_images=1)
        self._max_tokens = max_tokens
        self._turns = turns
        self._generate(Image.new("RGB", (128, 32), "white"), 4)
        self.at_once = at_once if at_once > 1 and self.batches_agree(vlm_batch.lines()) else 1
        logger.info("OCR model of type {} loaded, batch size {}", kind, self.at_once)

    @cached_property
    def _batch(self) -> Batch:
        return Batch(self._model, self._processor, self._kind.prompt, self._kind.arguments)

    def batches_agree(self, pictures: Sequence[Image.Image]) -> bool:
        """Whether images give the same text in a batch as alone; False when batching raises."""
        most = vlm_batch.CHECK_TOKENS
        try:
            together = self._batch.read(pictures, most, lambda: None)
        except Exception:  # noqa: BLE001  # mlx-vlm may fail in any way for an architecture; pages are then read one by one
            logger.opt(exception=True).info("this OCR model does not support batches")
            return False
        if vlm_batch.agrees([self._generate(picture, most) for picture in pictures], together):
            return True
        logger.warning("batching changes this OCR model's text: pages are read one at a time")
        return False

    def to_host(self) -> None:
        """Offload the weights to host memory."""
        self._weights.to_host()

    def to_device(self) -> None:
        """Restore the weights to the device."""
        self._weights.to_device()

    @override
    def read(self, page: Pixels, language: str | None = None) -> Reading:
        return self._reading(page, *self._generate(self._picture(page), self._max_tokens))

    def read_many(self, pages: Sequence[Pixels]) -> list[Reading]:
        with self._turns() as give_way:
            answers = self._batch.read([self._picture(page) for page in pages], self._max_tokens, give_way)
        return [self._reading(page, *answer) for page, answer in zip(pages, answers, strict=True)]

    def _picture(self, page: Pixels) -> Image.Image:
        picture = Image.fromarray(page[:, :, ::-1])
        picture.thumbnail((self._kind.max_side, self._kind.max_side))
        return picture

    def _reading(self, page: Pixels, answer: str, stopped: StopReason | None) -> Reading:
        height, width = page.shape[:2]
        text, lines = self._kind.parse(answer, width, height)
        return Reading(text, lines, markdown=text if self._kind.markdown else None, stopped=stopped)

    def _generate(self, picture: Image.Image, max_tokens: int) -> tuple[str, StopReason | None]:
        """The text and the stop reason, if it was stopped. Of a loop, the first repetition is kept."""
        tokens: list[int] = []
        pieces: list[str] = []
        finish: str | None = None
        with self._turns() as give_way:
            for chunk in self._start(picture, max_tokens):
                tokens.append(_token(chunk))
                pieces.append(chunk.text)
                finish = chunk.finish_reason
                if len(tokens) % _CHECK_EVERY == 0 and (start := loops.loop_start(tokens)) is not None:
                    return "".join(pieces[:start]), "repetition"
                give_way()
        return "".join(pieces), "length" if finish == "length" else None

    def _start(self, picture: Image.Image, max_tokens: int) -> Any:
        return self._stream(
            self._model,
            self._processor,
            self._prompt,
            image=[picture],
            max_tokens=max_tokens,
            temperature=0.0,
            **self._kind.arguments,
        )


def _token(chunk: Any) -> int:
    return int(chunk.token) if chunk.token is not None else -1


def _model_type(folder: Path) -> str:
    """The `model_type` of the checkpoint, read before any of its code could run.

    Raises:
        ModelLoadFailed: there is no config, or the checkpoint contains code that mlx-vlm would execute.
    """
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelLoadFailed(f"OCR_MODEL: {folder} contains no model (config.json)") from error
    if "model_file" in config or any(folder.rglob("*.py")):
        raise ModelLoadFailed(f"OCR_MODEL: {folder} contains Python code, which is never executed")
    return str(config.get("model_type", ""))
