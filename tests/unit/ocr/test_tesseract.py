"""Tesseract: its table of words as a reading, and, where it is installed, the program itself.

The tables in `recorded/` are what Tesseract 5.3.0 (Debian 12, tesseract-ocr-eng and -chi-sim) printed for
`pictures.page()` at four rotations, and for the invoice and the top of the Chinese page of `tests/bench/ocr_pages.py`.
"""

from __future__ import annotations

import multiprocessing
import shutil
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from src.errors import DeadlineExceeded, ModelLoadFailed
from src.ipc.messages.base import Failed
from src.ipc.messages.ocr import OcrOptions, OcrRequest, OcrResult
from src.ocr import engine_choice, recognizers, tesseract_tsv
from src.ocr.documents import DocumentLimits
from src.ocr.reader import PageReader
from src.ocr.reading import Pixels
from src.ocr.tesseract import TesseractRecognizer
from tests.conftest import MakeSettings
from tests.unit.ocr.pictures import LINES, file, page

RECORDED = Path(__file__).parent / "recorded"
installed = pytest.mark.skipif(shutil.which("tesseract") is None, reason="tesseract is not installed")


def recorded(name: str) -> str:
    return (RECORDED / f"tesseract-{name}.tsv").read_text(encoding="utf-8")


def pixels(image: Image.Image) -> Pixels:
    return np.ascontiguousarray(np.asarray(image.convert("RGB"))[:, :, ::-1])


# ---- its table


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_lines_confidences_and_polygons_at_any_rotation(rotation: int) -> None:
    """The turn is found from the words' direction; a polygon begins where its line does, on the page as given."""
    size = (800, 480) if rotation % 180 == 0 else (480, 800)
    reading = tesseract_tsv.reading(recorded(f"page-{rotation}"), *size)
    assert reading.text == "\n".join(LINES)
    assert reading.rotation == rotation
    assert all(line.confidence is not None and 0.9 < line.confidence <= 1 for line in reading.lines)
    corners = {0: (40, 48), 90: (48, 760), 180: (760, 432), 270: (432, 40)}
    assert reading.lines[0].polygon[0] == pytest.approx(corners[rotation], abs=3)


def test_the_cells_of_a_table_stay_in_their_row() -> None:
    """Tesseract reads a table column by column; we do not."""
    rows = tesseract_tsv.reading(recorded("invoice"), 1240, 1754).text.split("\n")
    assert rows[:3] == [
        "Brackwater Supplies Ltd. INVOICE 2026-0417",
        "Item Quantity Price Total",
        "Rope, 12 mm, per metre 250 1.40 350.00",
    ]
    assert rows[-1] == "Amount due 1,057.44"


def test_chinese_has_no_spaces() -> None:
    """Tesseract's words are joined as the script has it."""
    text = tesseract_tsv.reading(recorded("chinese"), 1240, 330).text
    assert text.startswith("港务委员会于星期二召开会议，听取工程师的报告。\n")
    assert " " not in text


@pytest.mark.parametrize("tsv", ["", "level\tpage_num", "5\t1\t1\t1\t1\t1\t0\t0\t9\t9\t95.0\t  ", "no table"])
def test_a_page_without_words_is_empty(tsv: str) -> None:
    """No text is no error."""
    assert (tesseract_tsv.reading(tsv, 10, 10).text, tesseract_tsv.reading(tsv, 10, 10).lines) == ("", ())


def test_languages_are_those_installed() -> None:
    """Under the API's names; scripts and orientation data are no languages."""
    listed = 'List of available languages in "/usr/share/tesseract-ocr/5/tessdata/" (4):\nchi_sim\ndeu\neng\nosd\n'
    assert tesseract_tsv.installed(listed) == {"de": "deu", "en": "eng", "zh": "chi_sim", "zh-Hans": "chi_sim"}


# ---- the program


def test_tesseract_not_installed_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """By what is missing, and how to get it."""
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(ModelLoadFailed, match="apt-get install tesseract-ocr"):
        TesseractRecognizer("en", 60)


def test_auto_is_never_tesseract(make_settings: MakeSettings) -> None:
    """The embedded models are always there, and read photographs and turned pages better."""
    assert engine_choice.choose(make_settings()).engine == "rapidocr"
    chosen = engine_choice.choose(make_settings(ocr_engine="tesseract"))
    assert chosen.shown == ("tesseract", "set by OCR_ENGINE")


@installed
def test_a_page_is_read(make_settings: MakeSettings) -> None:
    """Through the settings and the worker's reader."""
    reader = PageReader(recognizers.load(make_settings(ocr_engine="tesseract")), DocumentLimits())
    answer = reader.answer(OcrRequest("1", file(page().rotate(90, expand=True))))
    assert isinstance(answer, OcrResult)
    assert (answer.engine, answer.text, answer.rotation) == ("tesseract", "\n".join(LINES), 90)


@installed
def test_a_language_without_data_is_an_error(make_settings: MakeSettings) -> None:
    """400 for a request; a start that fails for OCR_LANGUAGE."""
    recognizer = TesseractRecognizer("en", 60)
    missing = next(name for name in ("yi", "mt", "km", "cy") if name not in recognizer.languages)
    answer = PageReader(recognizer, DocumentLimits()).answer(
        OcrRequest("1", file(page()), options=OcrOptions(language=missing))
    )
    assert isinstance(answer, Failed)
    assert (answer.code, answer.param) == ("unsupported_value", "language")
    assert "tesseract does not read this language; it reads" in answer.message
    with pytest.raises(ModelLoadFailed, match=f"OCR_LANGUAGE={missing}"):
        recognizers.load(make_settings(ocr_engine="tesseract", ocr_language=missing))


@installed
def test_a_slow_page_does_not_kill_the_worker() -> None:
    """The program is ended before the worker's own deadline."""
    recognizer = TesseractRecognizer("en", 60)
    recognizer._timeout_s = 0.01
    with pytest.raises(DeadlineExceeded, match="OCR_PAGE_TIMEOUT"):
        recognizer.read(pixels(page()))


@installed
def test_a_killed_worker_leaves_no_program_behind() -> None:
    """SIGKILL of who started it ends it, where setpriv is."""
    if shutil.which("setpriv") is None:
        pytest.skip("no setpriv")
    worker = multiprocessing.get_context("spawn").Process(target=_read_noise)
    worker.start()
    try:
        program = _child(worker.pid)
        worker.kill()
        worker.join(10)
        program.wait(10)
    finally:
        worker.kill()


def _read_noise() -> None:
    dice = np.random.default_rng(1)
    TesseractRecognizer("en", 60).read(dice.integers(0, 255, (4000, 4000, 3), dtype=np.uint8))


def _child(pid: int | None) -> psutil.Process:
    """The program over the page, not the look at its languages."""
    assert pid is not None
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for child in psutil.Process(pid).children():
            with suppress(psutil.NoSuchProcess):
                if "tsv" in child.cmdline() and child.name() == "tesseract":
                    return child
        time.sleep(0.01)
    raise AssertionError("it was not started")


def test_the_program_asks_for_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """OMP_THREAD_LIMIT=1: several threads a page cost several times the CPU-seconds."""
    seen = {}

    def run(command: list[str], **options: object) -> subprocess.CompletedProcess[bytes]:
        seen.update(options)
        return subprocess.CompletedProcess(command, 0, b"List (2):\neng\nosd\n", b"")

    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(subprocess, "run", run)
    assert TesseractRecognizer("en", 60).languages == {"en"}
    assert isinstance(environment := seen["env"], dict)
    assert environment["OMP_THREAD_LIMIT"] == "1"
