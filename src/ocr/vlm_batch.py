"""Batched OCR with a vision model, and the check that batching does not change the text.

For some architectures mlx-vlm's batches give wrong text (GLM-OCR loses image positions), so at load time `agrees`
compares rendered lines read alone and in a batch; if they differ, pages are read one at a time.
Runs in an OCR worker only, on its only thread.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from src.gpu.device_lock import GiveWay
from src.ocr import loops
from src.ocr.reading import StopReason

Answer = tuple[str, StopReason | None]

CHECK_TOKENS = 24
_CHECK_EVERY = 8
_LINES = ("HARBOUR", "PIER 42", "TIDE", "BUOY 7")
_SIZE = (256, 64)


def lines() -> list[Image.Image]:
    """Rendered lines for the check."""
    return [_line(text) for text in _LINES]


def _line(text: str) -> Image.Image:
    picture = Image.new("RGB", _SIZE, "white")
    ImageDraw.Draw(picture).text((8, 8), text, "black", ImageFont.load_default(36))
    return picture


def agrees(alone: Sequence[Answer], together: Sequence[Answer]) -> bool:
    """Whether texts match pairwise and differ from each other (a model that ignores images repeats one text)."""
    return list(alone) == list(together) and len({text for text, _ in alone}) > 1


class PageRow:
    """One page in a batch, as mlx-vlm's logits processor: a loop ends this row only."""

    def __init__(self, end: Callable[[Any], Any], end_tokens: frozenset[int], give_way: GiveWay) -> None:
        self._end = end
        self._end_tokens = end_tokens
        self._give_way = give_way
        self._tokens: list[int] = []
        self._loop: int | None = None

    def __call__(self, _tokens: Any, logits: Any) -> Any:
        return logits

    def process_last_token(self, token: int, logits: Any) -> Any:
        """Called for each new token; ends the row once it loops."""
        self._give_way()
        if self._loop is None:
            self._tokens.append(token)
            if len(self._tokens) % _CHECK_EVERY == 0:
                self._loop = loops.loop_start(self._tokens)
        return logits if self._loop is None else self._end(logits)

    def answer(self, text: str, decode: Callable[[list[int]], str]) -> Answer:
        """The page's answer, given mlx-vlm's text; of a loop, the first repetition is kept."""
        if self._loop is not None:
            return decode(self._tokens[: self._loop]), "repetition"
        ended = bool(self._tokens) and self._tokens[-1] in self._end_tokens
        return text, None if ended else "length"


class Batch:
    """A loaded model that reads several pages at once."""

    def __init__(self, model: Any, processor: Any, prompt: str, arguments: dict[str, Any]) -> None:
        import mlx.core as mx
        from mlx_vlm import batch_generate

        self._generate = batch_generate
        self._mx = mx
        self._model = model
        self._processor = processor
        self._prompt = prompt
        self._arguments = arguments
        self._tokenizer = getattr(processor, "tokenizer", processor)
        self._end_tokens = frozenset(int(token) for token in self._tokenizer.stopping_criteria.eos_token_ids)

    def read(self, pictures: Sequence[Image.Image], max_tokens: int, give_way: GiveWay) -> list[Answer]:
        """One answer per image."""
        rows = [PageRow(self._force_end, self._end_tokens, give_way) for _ in pictures]
        done = self._generate(
            self._model,
            self._processor,
            images=list(pictures),
            prompts=[self._prompt] * len(rows),
            max_tokens=max_tokens,
            logits_processors=[[row] for row in rows],
            **self._arguments,
        )
        return [row.answer(text, self._tokenizer.decode) for row, text in zip(rows, done.texts, strict=True)]

    def _force_end(self, logits: Any) -> Any:
        token = min(self._end_tokens)
        return self._mx.where(self._mx.arange(logits.shape[-1]) == token, 0.0, -self._mx.inf)[None]
