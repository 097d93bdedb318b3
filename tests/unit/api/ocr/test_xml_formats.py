"""hOCR and ALTO: well-formed, valid by its schema, with every line and the places of its words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from src.api.ocr import xml_formats
from src.ipc.messages.ocr import OcrLine, OcrResult, OcrTimings, OcrWord

TEXTS = ("Invoice <No. 7> & Co", "金额 42 €", 'said "no"', "\x00\x01<script>&", "   ", "alone")
XHTML, ALTO = "{http://www.w3.org/1999/xhtml}", "{http://www.loc.gov/standards/alto/ns-v4#}"
Polygon = tuple[tuple[float, float], ...]


def rectangle(left: float, top: float, width: float) -> Polygon:
    return (left, top), (left + width, top), (left + width, top + 30), (left, top + 30)


def page(*, words: bool, places: bool = True) -> OcrResult:
    lines = []
    for row, text in enumerate(TEXTS, 1):
        found = [OcrWord(word, rectangle(20.4 + 50 * at, 40 * row, 40)) for at, word in enumerate(text.split())]
        place = rectangle(20, 40 * row, 200) if places else ()
        lines.append(OcrLine(text, 0.9 if places else None, place, tuple(found) if words else ()))
    times = OcrTimings(0.1, 0.2, 0.3)
    return OcrResult("rapidocr", "\n".join(TEXTS), tuple(lines), 300, 400, 0, 0.0, times, dpi=150)


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """ALTO's own (CC BY-SA 4.0), with a stand-in for the schema that it imports from the network."""
    links = tmp_path_factory.mktemp("alto") / "xlink.xsd"
    links.write_text(
        '<xsd:schema xmlns:xsd="http://www.w3.org/2001/XMLSchema" targetNamespace="http://www.w3.org/1999/xlink">'
        '<xsd:attributeGroup name="simpleLink"/></xsd:schema>'
    )
    text = (Path(__file__).parent / "alto-4-4.xsd").read_text(encoding="utf-8")
    text = text.replace("http://www.loc.gov/standards/xlink/xlink.xsd", str(links))
    return etree.XMLSchema(etree.fromstring(text.encode()))


@pytest.mark.parametrize("words", [True, False])
@pytest.mark.parametrize("places", [True, False])
def test_alto_follows_its_schema(schema: Any, words: bool, places: bool) -> None:
    """With words, without their places, without any place."""
    data = xml_formats.alto([(0, page(words=words, places=places)), (4, page(words=words))])
    schema.assertValid(etree.fromstring(data))


def test_an_alto_string_is_a_word() -> None:
    """Strings hold no spaces: those are elements of their own, as wide as the gap."""
    tree = etree.fromstring(xml_formats.alto([(0, page(words=True))]))
    lines = [
        [child.get("CONTENT") for child in line if child.tag == f"{ALTO}String"]
        for line in tree.iter(f"{ALTO}TextLine")
    ]
    assert lines == [
        ["Invoice", "<No.", "7>", "&", "Co"],
        ["金额", "42", "€"],
        ["said", '"no"'],
        ["\ufffd\ufffd<script>&"],
        ["alone"],
    ]
    string = next(tree.iter(f"{ALTO}String"))
    assert dict(string.attrib) == {
        "HPOS": "20",
        "VPOS": "40",
        "WIDTH": "40",
        "HEIGHT": "30",
        "WC": "0.90",
        "CONTENT": "Invoice",
    }
    assert dict(next(tree.iter(f"{ALTO}SP")).attrib) == {"HPOS": "60", "VPOS": "40", "WIDTH": "10"}


def test_a_place_that_is_not_known_is_left_out() -> None:
    """A line's own place is no word's, unless it is its only one."""
    strings = list(etree.fromstring(xml_formats.alto([(0, page(words=False))])).iter(f"{ALTO}String"))
    assert ["HPOS" in string.attrib for string in strings] == [False] * 10 + [True, True]


def test_hocr_has_words_in_lines() -> None:
    """As its readers want them: `ocr_line` around `ocrx_word`, each with its box; the confidence is the line's."""
    tree = etree.fromstring(xml_formats.hocr([(1, page(words=True))]))
    (sheet,) = tree.iter(f"{XHTML}div")
    assert sheet.get("title") == "bbox 0 0 300 400; ppageno 1; scan_res 150 150"
    lines = [span for span in sheet.iter(f"{XHTML}span") if span.get("class") == "ocr_line"]
    words = [[word.text for word in line if word.get("class") == "ocrx_word"] for line in lines]
    assert words[:3] == [text.split() for text in TEXTS[:3]]
    assert lines[0].get("title") == "bbox 20 40 220 70"
    assert lines[0][1].get("title") == "bbox 70 40 110 70; x_wconf 90"
    names = [span.get("id") for span in sheet.iter(f"{XHTML}span")]
    assert len(set(names)) == len(names)


def test_hocr_without_words_has_lines() -> None:
    """The text stands in the line itself."""
    tree = etree.fromstring(xml_formats.hocr([(0, page(words=False))]))
    lines = [span for span in tree.iter(f"{XHTML}span") if span.get("class") == "ocr_line"]
    assert [line.text for line in lines][:3] == list(TEXTS[:3])
    assert lines[0].get("title") == "bbox 20 40 220 70; x_confs 90"
