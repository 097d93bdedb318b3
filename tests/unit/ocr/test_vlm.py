"""Vision models: the shipped tiny one really reads; loops are stopped and flagged; code is refused."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from src.errors import ModelLoadFailed
from src.gpu import ModelManager
from src.ipc.messages.base import Failed
from src.ipc.messages.ocr import OcrRequest, OcrResult
from src.ocr import engine_choice as choice
from src.ocr import loops, recognizers, vlm_models
from src.ocr.documents import DocumentLimits
from src.ocr.fake import FakeRecognizer, draw
from src.ocr.reader import PageReader
from src.ocr.reading import Pixels, Reading, StopReason
from src.ocr.resident import ResidentRecognizer
from src.ocr.vlm import VlmRecognizer
from src.settings import ROOT
from tests.conftest import MakeSettings
from tests.unit.clock import Clock

TINY = ROOT / "models" / "ocr-tiny"


@pytest.fixture(scope="module")
def tiny() -> VlmRecognizer:
    return VlmRecognizer(TINY, 32, None)


def word(text: str) -> Pixels:
    from training.ocr_tiny.words import Look
    from training.ocr_tiny.words import draw as drawn

    return np.ascontiguousarray(np.asarray(drawn(text, Look(), np.random.default_rng(1)).convert("RGB"))[:, :, ::-1])


@pytest.mark.parametrize("text", ["HELLO42", "A", "ZEBRA", "Q0O1I", "20261120"])
def test_the_tiny_model_reads(tiny: VlmRecognizer, text: str) -> None:
    """Through mlx-vlm's own loader, processor and generator, without torch or a network."""
    reading = tiny.read(word(text))
    assert (reading.text, reading.stopped, reading.lines[0].confidence) == (text, None, None)


def test_an_idle_recognizer_is_offloaded_and_restored(tiny: VlmRecognizer) -> None:
    """The next page brings the weights back; MLX's own figure says that they were gone."""
    import mlx.core as mx

    clock = Clock()
    manager = ModelManager(clock=clock)
    resident = ResidentRecognizer(lambda: tiny, manager, idle_timeout=600)
    there = mx.get_active_memory()
    clock.now += 599
    assert manager.move_idle() == []
    clock.now += 1
    assert manager.move_idle() == ["ocr"]
    assert mx.get_active_memory() < there / 10
    assert resident.read(word("HELLO42")).text == "HELLO42"
    assert mx.get_active_memory() > there * 0.9
    assert (resident.name, resident.languages) == ("mlx_vlm", None)


def test_output_over_the_token_limit_is_flagged(tiny: VlmRecognizer) -> None:
    """An answer cut at OCR_MAX_TOKENS keeps what was read, and says it was cut."""
    tiny._max_tokens = 3
    try:
        reading = tiny.read(word("HELLO42"))
    finally:
        tiny._max_tokens = 32
    assert (reading.text, reading.stopped) == ("HEL", "length")


def test_a_loop_is_stopped_after_its_first_repetition(tiny: VlmRecognizer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that repeats itself for ever is left within a few rounds."""
    taken = []

    def stream(*_: Any, **__: Any) -> Any:
        for token in [1, 2, 3, *[7, 8] * 5000]:
            taken.append(token)
            yield SimpleNamespace(token=token, text=f"{token} ", finish_reason=None)

    monkeypatch.setattr(tiny, "_stream", stream)
    reading = tiny.read(word("X"))
    assert (reading.text, reading.stopped) == ("1 2 3 7 8 7", "repetition")
    assert len(taken) < 60


@pytest.mark.parametrize(
    ("tokens", "start"),
    [
        ([1, 2, 3], None),
        ([5] * 31, None),
        ([5] * 32, 1),
        ([9, *[1, 2, 3, 4] * 8], 5),
        ([*range(64)] * 8, 64),
        ([*range(65)] * 8, None),
        ([1, 2] * 16 + [3], None),
    ],
)
def test_loop_detection(tokens: list[int], start: int | None) -> None:
    """Short, often, and long in all; a row of dots that ends is none."""
    assert loops.loop_start(tokens) == start


def test_deepseek_boxes_become_polygons() -> None:
    """Thousandths of the page become pixels; a broken box loses its place, not its text."""
    answer = (
        "<|ref|>Invoice<|/ref|><|det|>[[100, 50, 500, 80]]<|/det|>\n<|ref|>Total<|/ref|><|det|>[[9, 9, 1, 1]]<|/det|>"
    )
    text, lines = vlm_models.of("deepseekocr").parse(answer, 2000, 1000)
    assert (text, lines[0].polygon[0], lines[0].polygon[2], lines[1].polygon) == (
        "Invoice\nTotal",
        (200, 50),
        (1000, 80),
        (),
    )


def test_unlimited_ocrs_tags_become_polygons() -> None:
    """Its other order of tag and text is read too."""
    text, lines = vlm_models.of("unlimited_ocr").parse("<|det|>title [0, 0, 500, 100]<|/det|>Hello", 100, 100)
    assert (text, lines[0].polygon[2]) == ("Hello", (50, 10))


def test_an_unknown_model_gets_a_plain_prompt() -> None:
    """A vision model that is no OCR model still gets a prompt."""
    assert vlm_models.of("qwen3_vl").prompt.startswith("Read all the text")


@pytest.mark.parametrize("name", ["modeling.py", "sub/processing.py"])
def test_a_checkpoint_with_code_is_an_error(tmp_path: Path, name: str) -> None:
    """Nothing of a downloaded folder is ever executed."""
    (tmp_path / "config.json").write_text('{"model_type": "glm_ocr"}')
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("raise SystemExit")
    with pytest.raises(ModelLoadFailed, match="Python code"):
        VlmRecognizer(tmp_path, 32, None)


def test_auto_gives_its_reason(make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """By machine and model, in words; a name of OCR_ENGINE is taken as it is."""
    assert choice.choose(make_settings()).engine == "rapidocr"
    assert choice.choose(make_settings(ocr_engine="mlx_vlm", ocr_model="ocr-tiny")).why == "set by OCR_ENGINE"
    monkeypatch.setattr(choice, "has_gpu", lambda: False)
    assert "CPU" in choice.choose(make_settings(ocr_model="ocr-tiny")).why
    monkeypatch.setattr(choice, "has_gpu", lambda: True)
    chosen = choice.choose(make_settings(ocr_model="ocr-tiny"))
    assert (chosen.engine, chosen.on_gpu) == ("mlx_vlm", True)


def test_the_model_is_found_by_name_or_path(make_settings: MakeSettings) -> None:
    """Under MODELS_DIR, or where the path says."""
    assert choice.model_path(make_settings(ocr_model="ocr-tiny")) == TINY
    assert choice.model_path(make_settings(ocr_model=str(TINY))) == TINY
    assert choice.model_bytes(make_settings(ocr_engine="mlx_vlm", ocr_model="ocr-tiny")) > 4 << 20


# ---- when the model fails on a page


class Stuck:
    name = "mlx_vlm"
    languages = None

    def __init__(self, stopped: StopReason | None = None) -> None:
        self._stopped = stopped
        self.asked = 0

    def read(self, page: Pixels, language: str | None = None) -> Reading:
        self.asked += 1
        if self._stopped is None:
            raise RuntimeError("the model's own words")
        return Reading("la la", (), stopped=self._stopped)


@pytest.mark.parametrize("stopped", [None, "repetition"])
def test_a_failed_page_is_read_by_the_fallback(stopped: StopReason | None) -> None:
    """Looped or raised: the embedded recognizer reads the page, and the answer says so."""
    answer = PageReader(Stuck(stopped), DocumentLimits(), FakeRecognizer).answer(OcrRequest("1", draw("text=read")))
    assert isinstance(answer, OcrResult)
    assert (answer.text, answer.engine, answer.fallback, answer.truncated) == ("read", "fake", True, False)


def test_a_page_that_crashed_its_worker_is_read_by_the_fallback() -> None:
    """The retry after a crash goes to the embedded recognizer at once."""
    stuck = Stuck("repetition")
    answer = PageReader(stuck, DocumentLimits(), FakeRecognizer).answer(
        OcrRequest("1", draw("text=read"), fallback=True)
    )
    assert isinstance(answer, OcrResult)
    assert (answer.fallback, stuck.asked) == (True, 0)


def test_a_truncated_page_is_flagged_and_not_retried() -> None:
    """What a model wrote up to OCR_MAX_TOKENS is kept: `truncated`, with the reason."""
    answer = PageReader(Stuck("length"), DocumentLimits(), FakeRecognizer).answer(OcrRequest("1", draw("x")))
    assert isinstance(answer, OcrResult)
    assert (answer.text, answer.truncated, answer.reason, answer.fallback) == ("la la", True, "length", False)


def test_without_fallback_a_loop_is_flagged() -> None:
    """OCR_FALLBACK=false: what was read stands, marked as truncated with the reason; an error is an error."""
    answer = PageReader(Stuck("repetition"), DocumentLimits()).answer(OcrRequest("1", draw("x")))
    assert isinstance(answer, OcrResult)
    assert (answer.text, answer.truncated, answer.reason, answer.fallback) == ("la la", True, "repetition", False)
    assert isinstance(PageReader(Stuck(), DocumentLimits()).answer(OcrRequest("1", draw("x"))), Failed)


def test_only_a_model_has_a_fallback(make_settings: MakeSettings) -> None:
    """The embedded recognizer is the last resort; OCR_FALLBACK turns it off."""
    assert recognizers.fallback(make_settings()) is None
    assert recognizers.fallback(make_settings(ocr_engine="mlx_vlm", ocr_model="ocr-tiny", ocr_fallback=False)) is None
    assert recognizers.fallback(make_settings(ocr_engine="mlx_vlm", ocr_model="ocr-tiny")) is not None
