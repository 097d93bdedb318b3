"""Vision models that read pages, through mlx-vlm: at temperature 0, stopped when they loop.

Runs in an OCR worker only, which loads and generates on one thread. Pages are read one at a time unless `vlm_batch`
has found that the model's text is the same when they are read together.
Pages go in as pictures in memory; no client's string ever reaches mlx-vlm's loader, which would open files and URLs.
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

from src.errors import ModelLoadFailed
from src.gpu import blas, lease
from src.gpu.frameworks import MlxWeights
from src.gpu.lease import Turns
from src.ocr import loops, vlm_batch, vlm_models
from src.ocr.reading import Pixels, Reading, StopReason
from src.ocr.vlm_batch import Batch
from src.settings import work_offline

_CHECK_EVERY = 8  # tokens between two looks for a loop


class VlmRecognizer:
    """The model, loaded and warm."""

    name = "mlx_vlm"
    languages = None

    def __init__(
        self,
        folder: Path,
        max_tokens: int,
        blas_library: Path | None,
        turns: Turns = lease.alone,
        at_once: int = 1,
    ) -> None:
        kind = _model_type(folder)
        work_offline()
        blas.preload(blas_library)  # before MLX is imported
        import mlx.core as mx  # noqa: PLC0415  # see above
        import mlx_vlm  # noqa: PLC0415  # as above
        from mlx_vlm.prompt_utils import apply_chat_template  # noqa: PLC0415  # as above

        if sys.platform == "linux" and not mx.metal.is_available():
            mx.disable_compile()  # else g++ is run for seconds, and what it makes is loaded from a temporary folder
        self._stream = mlx_vlm.stream_generate
        self._model, self._processor = mlx_vlm.load(str(folder))
        self._weights = MlxWeights(self._model)
        self._kind = vlm_models.of(kind)
        self._prompt = apply_chat_template(self._processor, self._model.config, self._kind.prompt, num_images=1)
        self._max_tokens = max_tokens
        self._turns = turns
        self._generate(Image.new("RGB", (128, 32), "white"), 4)
        self.at_once = at_once if at_once > 1 and self.batches_agree(vlm_batch.lines()) else 1
        logger.info("a {} model reads pages, {} at once", kind, self.at_once)

    @cached_property
    def _batch(self) -> Batch:
        return Batch(self._model, self._processor, self._kind.prompt, self._kind.arguments)

    def batches_agree(self, pictures: Sequence[Image.Image]) -> bool:
        """Whether pictures give the same text together as alone. A batch that raises is no batch."""
        most = vlm_batch.CHECK_TOKENS
        try:
            together = self._batch.read(pictures, most, lambda: None)
        except Exception:  # noqa: BLE001  # mlx-vlm may fail in any way for an architecture; pages go one by one then
            logger.opt(exception=True).info("this model takes no batches")
            return False
        if vlm_batch.agrees([self._generate(picture, most) for picture in pictures], together):
            return True
        logger.warning("drawn lines are not read alike alone and in a batch: pages are read one at a time")
        return False

    def to_host(self) -> None:
        """Free the device: nobody has sent a page for long."""
        self._weights.to_host()

    def to_device(self) -> None:
        """A page has come."""
        self._weights.to_device()

    def read(self, page: Pixels, language: str | None = None) -> Reading:  # noqa: ARG002  # its prompt is fixed
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
        """The answer, and why it was stopped, if it was. Of a loop, its first round is kept."""
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
    """What the checkpoint says it is, before anything of it is run.

    Raises:
        ModelLoadFailed: there is none, or it brings code of its own, which mlx-vlm would execute.
    """
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelLoadFailed(f"OCR_MODEL: no model lies in {folder}") from error
    if "model_file" in config or any(folder.rglob("*.py")):
        raise ModelLoadFailed(f"OCR_MODEL: {folder} brings code of its own, which is never run")
    return str(config.get("model_type", ""))
