"""Scripts that the bundled recognizer does not read: noticed, said, and read by Tesseract where it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pytest

from src.ipc.messages.ocr import OcrOptions, OcrRequest, OcrResult, OcrWarning
from src.ocr import scripts, tesseract_tsv
from src.ocr.documents import DocumentLimits
from src.ocr.fake import draw
from src.ocr.reader import PageReader
from src.ocr.reading import Pixels, Reading, Recognizer, TextLine
from src.ocr.scripts import OtherScripts
from src.ocr.tesseract import TesseractRecognizer

Lines = Sequence[tuple[str, float, float]]


# what PP-OCRv6 gave for lines of 32 points: text, score, width in heights
READ: dict[str, Lines] = {
    "Cyrillic": [("    .", 0.94, 16), ("  12  47.", 0.81, 14), ("       1", 0.81, 16)],
    "Greek": [(" εια πλτα εναι κλειστ", 0.85, 14), ("χ την τ για εγασε", 0.81, 14)],
    "Arabic": [(" ", 0.5, 15), ("   ", 0.58, 15)],
    "Hebrew, upside down": [("tX 4UAUUA tUrtα NI AL Lt", 0.6, 13), ("ULXG UxGIt axIL", 0.58, 10)],
    "Hindi": [("3ARTR", 0.59, 8), ("可1247", 0.84, 9)],
    "Korean": [("", 0.0, 12), ("", 0.0, 12)],
}
GOOD: dict[str, Lines] = {
    "English": [("The north pier is closed until Thursday", 1.0, 17), ("Questions 9 to 17", 1.0, 9)],
    "Chinese": [("北码头关闭至星期四", 1.0, 7.6)],
    "numbers": [("7 8 9 10 11", 0.97, 5.6), ("- -- 4", 0.91, 2.7)],
    "leaders": [(". . 12", 0.85, 2.4), ("Chapter 1 ...", 0.96, 5.3)],
    "Vietnamese": [("Cu tàu phía bc đóng ca đn th Năm", 1.0, 17)],
    "a formula": [("where α is the angle of the pier", 0.98, 16)],
    "one bad line of four": [
        ("good text here", 1.0, 8),
        ("more good text", 1.0, 8),
        ("and more of it", 1.0, 8),
        ("  ", 0.8, 8),
    ],
    "marks": [("", 0.0, 1.0), (".", 0.5, 1.0)],
    "nothing": [],
}


def warnings(lines: Lines) -> tuple[OcrWarning, ...]:
    """As if these had been read, each 20 pixels high."""
    made = []
    for text, score, heights in lines:
        corners = ((0.0, 0.0), (20 * heights, 0.0), (20 * heights, 20.0), (0.0, 20.0))
        made.append(TextLine(text, score, corners))
    return scripts.unread(made, "rapidocr")


@pytest.mark.parametrize("name", READ)
def test_an_unread_script_is_noticed(name: str) -> None:
    """By long lines of few characters, by guesses, or by Greek letters that are only half known."""
    (warning,) = warnings(READ[name])
    assert warning.code == "script"
    assert "rapidocr does not read" in warning.message


@pytest.mark.parametrize("name", GOOD)
def test_what_is_read_has_no_warning(name: str) -> None:
    """Nor has a page without text."""
    assert warnings(GOOD[name]) == ()


# ---- Tesseract


class Program:
    """Stands in for the program: `texts` by data, with a confidence."""

    def __init__(self, script: str | None, texts: dict[str, tuple[str, float]]) -> None:
        self._script = script
        self._texts = texts
        self.installed = frozenset({"eng", "osd", *texts})
        self.languages = frozenset({"en", "ru"})
        self.asked: list[str] = []

    def script(self, _page: Pixels) -> str | None:
        return self._script

    def read_as(self, _page: Pixels, data: str) -> Reading:
        self.asked.append(data)
        text, score = self._texts[data.partition("+")[0]]
        return Reading(text, (TextLine(text, score, ()),) if text else ())

    def read(self, page: Pixels, language: str) -> Reading:
        return self.read_as(page, {"ru": "rus"}[language])


class Blank(Recognizer):
    """Reads blanks, and says so."""

    name = "rapidocr"
    languages = frozenset({"en"})

    def read(self, page: Pixels, language: str | None = None) -> Reading:
        return Reading(" ", (), warnings=(OcrWarning("script", "not read"),))


def ask(program: Program | None, **options: Any) -> Any:
    other = None if program is None else OtherScripts(cast(TesseractRecognizer, program))
    reader = PageReader(Blank(), DocumentLimits(), other_scripts=other)
    return reader.answer(OcrRequest("1", draw("x"), options=OcrOptions(**options)))


def test_a_page_in_another_script_is_read_by_tesseract() -> None:
    """With the data of its script that is installed; the answer says who read it."""
    program = Program("Cyrillic", {"rus": ("Северный причал", 0.95), "ukr": ("", 0.0)})
    answer = ask(program)
    assert isinstance(answer, OcrResult)
    assert (answer.text, answer.engine) == ("Северный причал", "tesseract")
    assert "Cyrillic" in answer.warnings[-1].message
    assert program.asked == ["rus+ukr"]


def test_a_script_that_cannot_be_told_is_tried() -> None:
    """One language after the other; the surest text is taken."""
    program = Program(None, {"rus": ("BOpoHa", 0.3), "ara": ("الرصيف", 0.9), "ell": ("", 0.0)})
    assert ask(program).text == "الرصيف"
    assert sorted(program.asked) == ["ara", "ell", "rus"]


@pytest.mark.parametrize(
    "program",
    [
        None,
        Program("Cyrillic", {}),
        Program("Cyrillic", {"rus": ("noise", 0.3)}),
        Program("Latin", {"rus": ("noise", 0.9)}),
    ],
)
def test_without_a_sure_text_the_warning_stays(program: Program | None) -> None:
    """The page keeps what the recognizer gave, and the warning about it."""
    answer = ask(program)
    assert (answer.engine, [warning.message for warning in answer.warnings]) == ("rapidocr", ["not read"])


def test_a_language_that_only_tesseract_has_is_read_by_it() -> None:
    """It is named in the request: nothing has to be noticed."""
    program = Program("Cyrillic", {"rus": ("причал", 0.4)})
    answer = ask(program, language="ru")
    assert (answer.text, answer.engine, program.asked) == ("причал", "tesseract", ["rus"])


def test_a_language_that_nobody_has_is_refused() -> None:
    """As before."""
    assert ask(Program(None, {}), language="th").code == "unsupported_value"


# ---- its output


@pytest.mark.parametrize(
    ("said", "script"),
    [
        ("Page number: 0\nScript: Cyrillic\nScript confidence: 3.81\n", "Cyrillic"),
        ("Script: Korean\nScript confidence: 0.30\n", None),
        ("Too few characters. Skipping this page\n", None),
    ],
)
def test_the_script_in_tesseracts_words(said: str, script: str | None) -> None:
    """Only if it is sure."""
    assert tesseract_tsv.script(said) == script


def tsv(*words: tuple[int, str]) -> str:
    return "\n".join(f"5\t1\t1\t1\t1\t{at}\t{left}\t40\t60\t20\t96\t{word}" for at, (left, word) in enumerate(words, 1))


def test_words_that_run_from_right_to_left_are_not_upside_down() -> None:
    """Their order tells the rotation only in scripts that run the other way."""
    found = tesseract_tsv.reading(tsv((300, "الرصيف"), (220, "الشمالي"), (140, "مغلق")), 400, 100)
    assert (found.rotation, found.text) == (0, "الرصيف الشمالي مغلق")
    assert tesseract_tsv.reading(tsv((300, "one"), (220, "two")), 400, 100).rotation == 180


@pytest.mark.parametrize(("words", "text"), [(("ท่า", "เรือ"), "ท่าเรือ"), (("북쪽", "부두는"), "북쪽 부두는")])
def test_spaces_are_as_the_script_has_them(words: tuple[str, str], text: str) -> None:
    """Thai writes none, Korean does."""
    assert tesseract_tsv.reading(tsv((20, words[0]), (82, words[1])), 400, 100).text == text


def test_a_warning_names_who_read_the_page() -> None:
    """Beside those that the page has."""
    reading = scripts.read_by_other(Reading("x", ()), "Greek", "rapidocr")
    assert "(Greek)" in reading.warnings[0].message
