"""Pages read together: only where a model's text stays what it is alone, and never twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from src.ipc.messages.base import Failed
from src.ipc.messages.ocr import OcrContents, OcrOptions, OcrRequest, OcrResult
from src.ocr import vlm_batch
from src.ocr.documents import DocumentLimits
from src.ocr.fake import FakeRecognizer, draw
from src.ocr.reader import PageReader
from src.ocr.reading import Pixels, Reading
from src.ocr.vlm import VlmRecognizer
from src.settings import ROOT
from tests.unit.ocr import files
from tests.unit.ocr.conftest import Run
from tests.unit.ocr.staff import Staff, result, settled
from tests.unit.ocr.test_jobs import started

WORDS = ("HELLO42", "ZEBRA", "B1JW", "20261120")


def word(text: str) -> Image.Image:
    from training.ocr_tiny.words import Look
    from training.ocr_tiny.words import draw as drawn

    return drawn(text, Look(), np.random.default_rng(1)).convert("RGB")


def pixels(image: Image.Image) -> Pixels:
    return np.ascontiguousarray(np.asarray(image)[:, :, ::-1])


# ---- the check at the start


@pytest.fixture(scope="module")
def tiny() -> VlmRecognizer:
    return VlmRecognizer(ROOT / "models" / "ocr-tiny", 32, None, at_once=4)


@contextmanager
def with_positions(tiny: VlmRecognizer) -> Iterator[None]:
    """What mlx-vlm's GLM-OCR lacks: the positions of a picture's tokens, handed on to the batch."""
    kind = type(tiny._model)
    before = kind.get_input_embeddings

    def after(self: Any, input_ids: Any = None, pixel_values: Any = None, **more: Any) -> Any:
        found = before(self, input_ids, pixel_values, **more)
        if pixel_values is not None:
            found.position_ids = self.language_model._position_ids
            found.rope_deltas = self.language_model._rope_deltas
        return found

    kind.get_input_embeddings = after
    try:
        yield
    finally:
        kind.get_input_embeddings = before


def test_batches_that_change_the_text_are_not_used(tiny: VlmRecognizer) -> None:
    """GLM-OCR through mlx-vlm: the check finds it, whatever OCR_BATCH says."""
    assert tiny.at_once == 1
    assert not tiny.batches_agree([word(text) for text in WORDS])


def test_batches_that_keep_the_text_are_used(tiny: VlmRecognizer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same model with its positions: the check passes, and pages are read together as they are alone."""
    read = tiny._batch.read

    def mended(*arguments: Any) -> Any:
        with with_positions(tiny):
            return read(*arguments)

    monkeypatch.setattr(tiny._batch, "read", mended)
    assert tiny.batches_agree([word(text) for text in WORDS])
    readings = tiny.read_many([pixels(word(text)) for text in WORDS])
    assert [(reading.text, reading.stopped) for reading in readings] == [(text, None) for text in WORDS]
    monkeypatch.setattr(tiny, "_max_tokens", 3)
    cut = tiny.read_many([pixels(word(text)) for text in WORDS[:2]])
    assert [(reading.text, reading.stopped) for reading in cut] == [("HEL", "length"), ("ZEB", "length")]


def test_batches_that_raise_are_not_used(tiny: VlmRecognizer, monkeypatch: pytest.MonkeyPatch) -> None:
    """mlx-vlm has architectures whose batches raise."""

    def refuse(*_: Any) -> Any:
        raise ValueError("no batches")

    monkeypatch.setattr(tiny._batch, "read", refuse)
    assert not tiny.batches_agree([word("A")])


@pytest.mark.parametrize(
    ("alone", "together", "right"),
    [
        (["a", "b"], ["a", "b"], True),
        (["a", "b"], ["a", "bb"], False),
        (["", ""], ["", ""], False),
        (["a", "b"], ["a"], False),
    ],
)
def test_texts_must_match_and_differ_by_image(alone: list[str], together: list[str], right: bool) -> None:
    """A model that answers nothing to anything proves nothing."""
    answers = [[(text, None) for text in texts] for texts in (alone, together)]
    assert vlm_batch.agrees(answers[0], answers[1]) == right


def test_a_loop_ends_only_its_row() -> None:
    """From then on the row may only end; its first round is kept."""
    ways = []
    row = vlm_batch.PageRow(lambda _: "the end", frozenset([99]), lambda: ways.append("given"))
    forced = [row.process_last_token(token, "logits") for token in [1, 2, 3, *[7, 8] * 40]]
    at = forced.index("the end")
    assert at < 60
    assert set(forced[at:]) == {"the end"}
    assert len(ways) == len(forced)
    assert row.answer("all of it", lambda tokens: " ".join(map(str, tokens))) == ("1 2 3 7 8 7", "repetition")


# ---- pages ahead


class Together:
    """Reads up to three pages at once; `calls`: how many each time."""

    name = "together"
    languages = None
    at_once = 3

    def __init__(self) -> None:
        self.calls: list[int] = []
        self._one = FakeRecognizer()

    def read(self, page: Pixels, language: str | None = None) -> Reading:
        self.calls.append(1)
        return self._one.read(page)

    def read_many(self, pages: Sequence[Pixels]) -> list[Reading]:
        self.calls.append(len(pages))
        return [self._one.read(page) for page in pages]


def read(reader: PageReader, path: Path, number: int, *read_ahead: int, options: OcrOptions | None = None) -> str:
    request = OcrRequest("1", b"", path=str(path), page=number, options=options or OcrOptions(), read_ahead=read_ahead)
    answer = reader.answer(request)
    assert isinstance(answer, OcrResult)
    return answer.text


def test_the_next_pages_are_read_in_one_batch(tmp_path: Path) -> None:
    """Each once, and each with its own text; other wishes for the same page are read anew."""
    path = tmp_path / "document"
    path.write_bytes(files.zipped({f"{at}.png": draw(f"text=page {at}") for at in range(6)}))
    recognizer = Together()
    reader = PageReader(recognizer, DocumentLimits())
    texts = [read(reader, path, 0, 1, 2, 3), read(reader, path, 1, 2, 3, 4), read(reader, path, 2, 3, 4, 5)]
    assert texts == ["page 0", "page 1", "page 2"]
    assert recognizer.calls == [3]
    assert read(reader, path, 3, 4, 5) == "page 3"
    assert read(reader, path, 4, options=OcrOptions(language="en")) == "page 4"
    assert recognizer.calls == [3, 3, 1]


def test_a_page_with_text_or_damage_is_not_read_ahead(tmp_path: Path) -> None:
    """The first needs no reading, the second has its error when it is asked for."""
    path = tmp_path / "document"
    good, broken = draw("text=good"), b"\x89PNG\r\n\x1a\n broken"
    path.write_bytes(files.zipped({"0.png": good, "1.png": broken, "2.png": good}))
    recognizer = Together()
    assert read(PageReader(recognizer, DocumentLimits()), path, 0, 1, 2) == "good"
    assert recognizer.calls == [2]


def test_no_batch_after_one_that_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory may hold one page and not three: the next ones are read alone."""
    path = tmp_path / "document"
    path.write_bytes(files.zipped({f"{at}.png": draw(f"text=page {at}") for at in range(4)}))
    recognizer = Together()
    monkeypatch.setattr(recognizer, "read_many", lambda _: 1 / 0)
    reader = PageReader(recognizer, DocumentLimits())
    lost = reader.answer(OcrRequest("1", b"", path=str(path), page=0, read_ahead=(1, 2)))
    assert isinstance(lost, Failed)
    assert [read(reader, path, 1, 2, 3), read(reader, path, 2, 3)] == ["page 1", "page 2"]


@pytest.mark.parametrize(("workers", "batch", "read_ahead"), [(1, 4, (1, 2, 3)), (1, 1, ()), (2, 4, ())])
def test_read_ahead_names_pages_for_the_same_worker(
    run: Run, workers: int, batch: int, read_ahead: tuple[int, ...]
) -> None:
    """Only while there is one worker: another would read them too."""

    async def story() -> None:
        staff, _, _ = await started(Staff(ocr_workers=workers, ocr_batch=batch))
        staff.given[-1][1].say(OcrContents("pdf", 5))
        await settled()
        first = next(message for message in staff.messages if isinstance(message, OcrRequest))
        assert (first.page, first.read_ahead) == (0, read_ahead)
        staff.given[-1][1].say(result("text"))
        await staff.jobs.close()

    run(story())
