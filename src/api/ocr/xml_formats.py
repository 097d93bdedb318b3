"""hOCR and ALTO: lines with the places of their words, where the engine gives them. Pure; used by `formats`.

A word's place that is not known is left out rather than invented.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from xml.sax.saxutils import quoteattr

from src.ipc.messages.ocr import OcrLine, OcrResult, OcrWord

Box = tuple[int, int, int, int]
Polygon = Sequence[tuple[float, float]]

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_HOCR_HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN" "http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">
<html xmlns="http://www.w3.org/1999/xhtml"><head><title></title>
<meta http-equiv="Content-Type" content="text/html;charset=utf-8"/><meta name="ocr-system" content="stoker"/>
<meta name="ocr-capabilities" content="ocr_page ocr_line ocrx_word"/></head><body>
"""
_ALTO = "http://www.loc.gov/standards/alto/ns-v4#"
_ALTO_HEAD = f"""<?xml version="1.0" encoding="UTF-8"?>
<alto xmlns="{_ALTO}" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="{_ALTO} http://www.loc.gov/standards/alto/v4/alto-4-4.xsd">
<Description><MeasurementUnit>pixel</MeasurementUnit></Description>
<Layout>
"""


def text(value: str) -> str:
    """As XML's text: nothing that no XML document may hold."""
    return _attribute(value)[1:-1]


def _attribute(value: str) -> str:
    return quoteattr(_NOT_XML.sub("\ufffd", value), {'"': "&quot;"})


def _box(polygon: Polygon) -> Box | None:
    if not polygon:
        return None
    xs, ys = [x for x, _ in polygon], [y for _, y in polygon]
    return round(min(xs)), round(min(ys)), round(max(xs)), round(max(ys))


# ---- hOCR


def hocr(pages: Sequence[tuple[int, OcrResult]]) -> bytes:
    return (_HOCR_HEAD + "".join(_hocr_page(number, page) for number, page in pages) + "</body></html>\n").encode()


def _hocr_page(number: int, page: OcrResult) -> str:
    lines = "".join(_hocr_line(f"{number + 1}_{at}", line) for at, line in enumerate(page.lines, 1))
    resolution = f"; scan_res {page.dpi} {page.dpi}" if page.dpi else ""
    title = f"bbox 0 0 {page.width} {page.height}; ppageno {number}{resolution}"
    return f'<div class="ocr_page" id="page_{number + 1}" title="{title}">\n{lines}</div>\n'


def _hocr_line(name: str, line: OcrLine) -> str:
    words = " ".join(_hocr_word(f"{name}_{at}", word, line) for at, word in enumerate(line.words, 1))
    facts = _hocr_facts(_box(line.polygon), "x_confs" if not words else "", line)
    return f'<span class="ocr_line" id="line_{name}" title="{facts}">{words or text(line.text)}</span><br/>\n'


def _hocr_word(name: str, word: OcrWord, line: OcrLine) -> str:
    facts = _hocr_facts(_box(word.polygon), "x_wconf", line)
    return f'<span class="ocrx_word" id="word_{name}" title="{facts}">{text(word.text)}</span>'


def _hocr_facts(box: Box | None, score: str, line: OcrLine) -> str:
    facts = ["bbox " + " ".join(map(str, box))] if box is not None else []
    if score and line.confidence is not None:
        facts.append(f"{score} {line.confidence * 100:.0f}")
    return "; ".join(facts)


# ---- ALTO


def alto(pages: Sequence[tuple[int, OcrResult]]) -> bytes:
    return (_ALTO_HEAD + "".join(_alto_page(number, page) for number, page in pages) + "</Layout></alto>\n").encode()


def _alto_page(number: int, page: OcrResult) -> str:
    size = f'WIDTH="{page.width}" HEIGHT="{page.height}"'
    lines = "".join(_alto_line(line) for line in page.lines if line.text.strip())
    block = f'<TextBlock ID="block_{number + 1}">\n{lines}</TextBlock>' if lines else ""
    head = f'<Page ID="page_{number + 1}" PHYSICAL_IMG_NR="{number + 1}" {size}>'
    return f'{head}<PrintSpace HPOS="0" VPOS="0" {size}>{block}</PrintSpace></Page>\n'


def _alto_line(line: OcrLine) -> str:
    words = line.words or _without_places(line)
    parts = [_alto_string(words[0], line)]
    for before, word in pairwise(words):
        parts += [_alto_space(_box(before.polygon), _box(word.polygon)), _alto_string(word, line)]
    return f"<TextLine{_alto_place(_box(line.polygon))}>{''.join(parts)}</TextLine>\n"


def _without_places(line: OcrLine) -> tuple[OcrWord, ...]:
    """A single word has its line's."""
    words = line.text.split()
    return tuple(OcrWord(word, line.polygon if len(words) == 1 else ()) for word in words)


def _alto_string(word: OcrWord, line: OcrLine) -> str:
    sure = "" if line.confidence is None else f' WC="{line.confidence:.2f}"'
    return f"<String{_alto_place(_box(word.polygon))}{sure} CONTENT={_attribute(word.text)}/>"


def _alto_space(before: Box | None, after: Box | None) -> str:
    if before is None or after is None:
        return "<SP/>"
    return f'<SP HPOS="{before[2]}" VPOS="{before[1]}" WIDTH="{max(0, after[0] - before[2])}"/>'


def _alto_place(box: Box | None) -> str:
    if box is None:
        return ""
    left, top, right, bottom = box
    return f' HPOS="{left}" VPOS="{top}" WIDTH="{right - left}" HEIGHT="{bottom - top}"'
