"""The embedded recognizer on drawn pages: text, orientation, and polygons in the caller's pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from src.ocr import rapid
from src.ocr.rapid import RapidRecognizer
from src.ocr.reading import Pixels
from tests.unit.ocr.pictures import LINES, line, page


@pytest.fixture(scope="module")
def recognizer() -> RapidRecognizer:
    return RapidRecognizer()


def pixels(image: Image.Image) -> Pixels:
    return np.ascontiguousarray(np.asarray(image.convert("RGB"))[:, :, ::-1])


def test_no_model_comes_from_the_network() -> None:
    """Every model is named by a path inside the wheel, so nothing is ever looked up or downloaded."""
    paths = [value for name, value in rapid._settings().items() if name.endswith("model_path")]
    assert len(paths) == 3
    assert all(Path(path).is_file() for path in paths)


def test_a_line_is_read_with_polygon_and_confidence(recognizer: RapidRecognizer) -> None:
    """Text, a confidence between 0 and 1, and a polygon around the ink."""
    reading = recognizer.read(pixels(line()))
    assert reading.text == "Hello OCR world 42"
    (found,) = reading.lines
    assert found.confidence is not None
    assert 0.9 < found.confidence <= 1
    (left, top), _, (right, bottom), _ = found.polygon
    assert (left, top) == pytest.approx((10, 14), abs=12)
    assert (right, bottom) == pytest.approx((330, 50), abs=30)


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_a_page_is_read_at_any_rotation(recognizer: RapidRecognizer, rotation: int) -> None:
    """The page is turned upright by vote, the turn reported, and the polygons lie on the page as it was given."""
    given = page().rotate(rotation, expand=True, fillcolor="white")  # anticlockwise, so `rotation` clockwise undoes it
    reading = recognizer.read(pixels(given))
    assert reading.text == "\n".join(LINES)
    assert reading.rotation == rotation
    corners = {0: (40, 40), 90: (40, 760), 180: (760, 440), 270: (440, 40)}
    assert reading.lines[0].polygon[0] == pytest.approx(corners[rotation], abs=20)


def test_skew_is_reported(recognizer: RapidRecognizer) -> None:
    """A page that lies a little askew is read, and its angle told."""
    reading = recognizer.read(pixels(page().rotate(-5, expand=True, fillcolor="white")))
    assert reading.text == "\n".join(LINES)
    assert reading.skew_degrees == pytest.approx(5, abs=0.7)


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_a_page_is_read_askew_and_rotated(recognizer: RapidRecognizer, rotation: int) -> None:
    """Seven degrees off and lying on its side: both at once are no harder than each alone."""
    given = page().rotate(rotation - 7, expand=True, fillcolor="white", resample=Image.Resampling.BICUBIC)
    reading = recognizer.read(pixels(given))
    assert (reading.text, reading.rotation) == ("\n".join(LINES), rotation)


def test_a_small_image_is_upscaled_and_its_polygons_are_not(recognizer: RapidRecognizer) -> None:
    """Lines too low for the detector are read all the same, placed in the pixels that were given."""
    small = line("HELLO 42").resize((157, 24), Image.Resampling.LANCZOS)
    reading = recognizer.read(pixels(small))
    assert reading.text == "HELLO 42"
    assert all(0 <= x <= 157 and 0 <= y <= 24 for x, y in reading.lines[0].polygon)


@pytest.mark.parametrize("size", [(1, 1), (3, 3), (400, 300), (6000, 20), (20, 6000)])
@pytest.mark.parametrize("colour", ["white", "black"])
def test_pictures_without_text_are_empty(recognizer: RapidRecognizer, size: tuple[int, int], colour: str) -> None:
    """Blank pages of any shape read as nothing, without an error."""
    reading = recognizer.read(pixels(Image.new("RGB", size, colour)))
    assert (reading.text, reading.lines) == ("", ())


def test_noise_is_not_an_error(recognizer: RapidRecognizer) -> None:
    """A picture of nothing in particular is read as something or nothing."""
    noise = np.random.default_rng(1).integers(0, 256, (300, 400, 3), np.uint8)
    assert len(recognizer.read(noise).lines) < 50


def test_words_are_where_they_are_drawn(recognizer: RapidRecognizer) -> None:
    """Each word's polygon begins and ends within a letter's width of its ink."""
    reading = recognizer.read(pixels(line()))
    (found,) = reading.lines
    assert [word.text for word in found.words] == ["Hello", "OCR", "world", "42"]
    ink = np.asarray(line().convert("L")) < 128
    for word in found.words:
        left, right = round(word.polygon[0][0]), round(word.polygon[1][0])
        columns = np.flatnonzero(ink[:, max(0, left - 12) : right + 12].any(axis=0)) + max(0, left - 12)
        assert (left, right) == pytest.approx((columns.min(), columns.max()), abs=12)


# ---- nothing vanishes


@pytest.mark.parametrize(("word", "size"), [("7", 14), ("Ende", 18), ("Notes", 36), ("A", 140)])
def test_a_lone_word_on_a_large_page_is_read(recognizer: RapidRecognizer, word: str, size: int) -> None:
    """The detector overlooks a word on an empty page; its ink is looked at by itself."""
    paper = Image.new("RGB", (1240, 1754), "white")
    ImageDraw.Draw(paper).text((300, 800), word, "black", ImageFont.load_default(size=size))
    assert recognizer.read(pixels(paper)).text == word


def test_cells_of_small_tables_are_read(recognizer: RapidRecognizer) -> None:
    """Digits that vanish when the page is reduced make the detector look again, larger."""
    paper, rows = Image.new("RGB", (2100, 100), "white"), []
    for row in range(3):
        cells = [str((7 * row + 3 * cell) % 10) for cell in range(24)]
        for at, cell in enumerate(cells):
            ImageDraw.Draw(paper).text((20 + 86 * at, 10 + 29 * row), cell, "black", ImageFont.load_default(size=16))
        rows.append(" ".join(cells))
    words = recognizer.read(pixels(paper)).text.split()
    assert len(words) >= 71
    assert sum(a == b for a, b in zip(words, " ".join(rows).split(), strict=False)) >= 66 or len(words) == 71


def test_a_long_receipt_is_read_to_its_end(recognizer: RapidRecognizer) -> None:
    """A strip eleven times as long as wide is not reduced to unreadable letters."""
    wanted = [f"Item {row:03d} tea {row}.50" for row in range(16)]
    paper = Image.new("RGB", (240, 1700), "white")
    for row, text in enumerate(wanted):
        ImageDraw.Draw(paper).text((30, 20 + 99 * row), text, "black", ImageFont.load_default(size=22))
    assert recognizer.read(pixels(paper)).text.split("\n") == wanted


@pytest.mark.parametrize("rotation", [90, 270])
def test_a_turned_stamp_is_read(recognizer: RapidRecognizer, rotation: int) -> None:
    """A line that runs up or down beside upright text is read in its own direction."""
    paper = page()
    stamp = line("Received 14 May, 8841").rotate(rotation, expand=True)
    wide = Image.new("RGB", (paper.width + 90, paper.height), "white")
    wide.paste(paper, (0, 0))
    wide.paste(stamp, (paper.width + 10, 30))
    assert recognizer.read(pixels(wide)).text.split("\n")[-1] == "Received 14 May, 8841"


def test_dropped_lines_are_a_warning() -> None:
    """Text areas read without confidence are left out, and counted."""
    assert rapid._dropped(2, 4) == rapid._dropped(3, 100) == ()
    (warning,) = rapid._dropped(17, 60)
    assert warning.code == "low_confidence"
    assert "17 of 60" in warning.message
