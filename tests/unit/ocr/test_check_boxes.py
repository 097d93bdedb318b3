"""Check boxes drawn on a form: found beside lines and in them, ticked or not, and told from letters and cells."""

from __future__ import annotations

import time

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw

from src.ocr import check_boxes
from src.ocr.reading import Pixels, TextLine, TextWord
from tests.bench.ocr_pages import font

SIDE, HEIGHT = 24, 36


def drawn(*places: tuple[int, int, str], skew: float = 0.0) -> Pixels:
    """A page with squares, each empty, crossed, ticked or filled."""
    image = Image.new("L", (600, 200), 255)
    pen = ImageDraw.Draw(image)
    for x, y, kind in places:
        pen.rectangle((x, y, x + SIDE, y + SIDE), outline=0, width=2)
        if kind == "x":
            pen.line((x + 5, y + 5, x + SIDE - 5, y + SIDE - 5), 0, 3)
            pen.line((x + 5, y + SIDE - 5, x + SIDE - 5, y + 5), 0, 3)
        elif kind == "v":
            pen.line((x + 5, y + 12, x + 11, y + SIDE - 5, x + SIDE - 4, y + 5), 0, 3)
        elif kind == "f":
            pen.rectangle((x + 6, y + 6, x + SIDE - 6, y + SIDE - 6), fill=0)
        elif kind == "solid":
            pen.rectangle((x, y, x + SIDE, y + SIDE), fill=0)
    turned = image.rotate(skew, Image.Resampling.BICUBIC, fillcolor=255).convert("RGB")
    return np.ascontiguousarray(np.asarray(turned))


def box(x: float, y: float, width: float, height: float = HEIGHT) -> tuple[tuple[float, float], ...]:
    return (x, y), (x + width, y), (x + width, y + height), (x, y + height)


def line(*words: tuple[str, int, int], y: int = 40) -> TextLine:
    """Words from x on, so many pixels wide."""
    found = tuple(TextWord(text, box(x, y + 6, width, 24)) for text, x, width in words)
    left, right = words[0][1], words[-1][1] + words[-1][2]
    return TextLine(" ".join(text for text, _, _ in words), 0.9, box(left - 6, y, right - left + 12), found)


def texts(pixels: Pixels, *lines: TextLine) -> list[str]:
    return [one.text for one in check_boxes.marked(pixels, lines)]


@pytest.mark.parametrize("skew", [0, 1])
@pytest.mark.parametrize(("kind", "shown"), [("", "☐"), ("x", "☒"), ("v", "☒"), ("f", "☒")])
def test_a_box_before_its_line(kind: str, shown: str, skew: float) -> None:
    """The line reaches from it on, and has it as a word."""
    pixels = drawn((300, 95, kind), skew=skew)
    (found,) = check_boxes.marked(pixels, [line(("rent", 340, 60), ("it", 410, 20), y=88)])
    assert found.text == f"{shown} rent it"
    assert [word.text for word in found.words] == [shown, "rent", "it"]
    assert found.polygon[0][0] < 303


def test_boxes_between_and_behind_words() -> None:
    """As in `Motor ☒ Sail ☐`: each stands where it is drawn."""
    pixels = drawn((120, 46, "x"), (240, 46, ""))
    assert texts(pixels, line(("Motor", 40, 70), ("Sail", 160, 60))) == ["Motor ☒ Sail ☐"]


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ([("□", 120, 24), ("Sail", 160, 60)], "☒ Sail"),  # read as a sign
        ([("O", 122, 20), ("Sail", 160, 60)], "☒ Sail"),  # or a letter
        ([("OSail", 118, 100)], "☒ Sail"),  # or one of the next word
        ([("Over", 120, 100)], "☒ Over"),  # the word's place is too wide
        ([("Sail□", 40, 105)], "Sail ☒"),
        ([("7", 122, 18), ("Sail", 160, 60)], "7 Sail"),  # what somebody wrote into it
        ([("出口", 100, 46)], "出口"),
        ([("出", 80, 24), ("口", 120, 24)], "出 口"),
    ],
)
def test_what_was_read_in_a_boxs_place(words: list[tuple[str, int, int]], shown: str) -> None:
    assert texts(drawn((120, 46, "x")), line(*words)) == [shown]


def test_a_box_that_was_read_as_a_line_is_not_lost() -> None:
    """Nothing is near it: it stays a line of its own."""
    assert texts(drawn((120, 46, "")), line(("□", 120, 24)), line(("Sail", 400, 60))) == ["☐", "Sail"]


@pytest.mark.parametrize("apart", [0, 10, SIDE])
def test_a_field_that_is_filled_in_letter_by_letter(apart: int) -> None:
    """Its cells are no boxes, whatever stands in them: a date keeps its zeros."""
    places = [40 + at * (SIDE + apart) for at in range(6)]
    cells = [line((letter, x + 6, 12), y=40) for letter, x in zip("20O7X1", places, strict=True)]
    assert texts(drawn(*((x, 46, "x") for x in places)), *cells) == list("20O7X1")


def test_a_letter_in_a_square_of_its_own_is_kept() -> None:
    """What is no sign and no letter that looks like one was written into the square."""
    pixels = drawn((120, 46, ""), (300, 46, "x"))
    assert texts(pixels, line(("Age", 40, 50)), line(("7", 126, 12)), line(("Sail", 340, 60))) == ["Age", "7", "☒ Sail"]


@pytest.mark.parametrize(
    "places",
    [[(100 + at * (SIDE + 2), 46, "") for at in range(5)], [(100, 46, "solid")], [(100, 140, "")]],
    ids=["cells of a number", "a bullet", "no line near"],
)
def test_other_squares_are_none(places: list[tuple[int, int, str]]) -> None:
    assert texts(drawn(*places), line(("Sail", 240, 60))) == ["Sail"]


def test_letters_are_no_boxes() -> None:
    """Whatever is round, or open at a side."""
    image = Image.new("RGB", (600, 60), "white")
    ImageDraw.Draw(image).text((10, 10), "DOBBO 0 HEADQUARTERS UCED", "black", font(30))
    assert check_boxes.find(np.ascontiguousarray(np.asarray(image)), HEIGHT) == []


def test_no_lines_no_boxes() -> None:
    assert check_boxes.marked(drawn((100, 46, "")), []) == []


def test_a_large_scan_is_reduced() -> None:
    """Places are those of the page as given."""
    large = np.asarray(cv2.resize(drawn((300, 95, "x")), None, fx=4, fy=4), np.uint8)
    (found,) = check_boxes.find(large, 4.0 * HEIGHT)
    assert (found.left, found.top, found.right) == pytest.approx((1200, 380, 1300), abs=8)
    assert found.ticked


def test_a_page_of_specks_takes_no_time() -> None:
    """Hundreds of thousands of dots, as in a halftone."""
    dots = np.random.default_rng(1).integers(0, 2, (2000, 3000, 1), np.uint8) * np.full(3, 255, np.uint8)
    began = time.process_time()
    assert check_boxes.find(dots, HEIGHT) == []
    assert time.process_time() - began < 5


def test_many_boxes_beside_many_lines_take_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A box is compared with the lines at its height, not with all of the page."""
    image = Image.new("RGB", (1500, 40 * 50), "white")
    lines = []
    for y in range(0, 40 * 50, 40):
        for x in range(40, 1400, 340):
            ImageDraw.Draw(image).rectangle((x, y + 6, x + SIDE, y + 6 + SIDE), outline="black", width=2)
            lines.append(line(("Sail", x + 40, 60), y=y))
    compared: list[TextLine] = []
    distance = check_boxes._distance

    def noted(one: TextLine, box: check_boxes.CheckBox) -> float:
        compared.append(one)
        return distance(one, box)

    monkeypatch.setattr(check_boxes, "_distance", noted)
    found = check_boxes.marked(np.ascontiguousarray(np.asarray(image)), lines)
    assert [one.text for one in found] == ["☐ Sail"] * len(lines)
    assert len(compared) < 10 * len(lines)
