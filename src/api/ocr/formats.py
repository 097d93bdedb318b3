"""What a read document can be given as: JSON, plain text, markdown, hOCR, ALTO, a searchable PDF. Pure.

Places are those of lines: the engines give no words' own, and none are invented.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.sax.saxutils import quoteattr

from flask import Response

from src.api import page_markup
from src.api.ocr import pdf, shapes
from src.api.ocr.schemas import Format
from src.api.service import json_response
from src.errors import InvalidRequest
from src.ipc.messages.ocr import OcrLine, OcrPage, OcrResult

FAILED_PAGES = "X-Ocr-Failed-Pages"
_MIMETYPES: dict[str, str] = {
    "text": "text/plain; charset=utf-8",
    "markdown": "text/markdown; charset=utf-8",
    "hocr": "application/xhtml+xml; charset=utf-8",
    "alto": "application/xml; charset=utf-8",
    "pdf": "application/pdf",
}
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_HOCR_HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN" "http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">
<html xmlns="http://www.w3.org/1999/xhtml"><head><title></title>
<meta http-equiv="Content-Type" content="text/html;charset=utf-8"/><meta name="ocr-system" content="stoker"/>
<meta name="ocr-capabilities" content="ocr_page ocr_line"/></head><body>
"""
_ALTO_HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<alto xmlns="http://www.loc.gov/standards/alto/ns-v4#"><Description><MeasurementUnit>pixel</MeasurementUnit></Description>
<Layout>
"""


def response(name: str, pages: Sequence[OcrPage], size: int, wanted: Format) -> Response:
    """The document as `wanted`. What is no JSON names the pages that could not be read in a header."""
    if wanted == "json":
        return json_response(shapes.document(name, pages, size))
    ordered = sorted(pages, key=lambda page: page.number)
    read = [(page.number, page.outcome) for page in ordered if isinstance(page.outcome, OcrResult)]
    answer = Response(render(read, wanted), content_type=_MIMETYPES[wanted])
    failed = [str(page.number + 1) for page in ordered if not isinstance(page.outcome, OcrResult)]
    if failed:
        answer.headers[FAILED_PAGES] = ",".join(failed)
    return answer


def render(pages: Sequence[tuple[int, OcrResult]], wanted: Format) -> bytes:
    if wanted == "pdf":
        if not all(result.picture for _, result in pages):
            raise InvalidRequest("A searchable PDF must be asked for when the document is sent.", param="format")
        return pdf.write([result for _, result in pages])
    if wanted == "hocr":
        return (_HOCR_HEAD + "".join(_hocr_page(number, page) for number, page in pages) + "</body></html>\n").encode()
    if wanted == "alto":
        return (
            _ALTO_HEAD + "".join(_alto_page(number, page) for number, page in pages) + "</Layout></alto>\n"
        ).encode()
    if wanted == "markdown":
        texts = (page_markup.page_markdown(page) for _, page in pages)
        return ("\n\n".join(texts) + "\n").encode()
    if wanted != "text":
        raise InvalidRequest(f"There is no writer for the format {wanted!r}.", param="format")
    return ("\f".join(page.text for _, page in pages) + "\n").encode()  # as pdftotext divides pages


def _hocr_page(number: int, page: OcrResult) -> str:
    lines = "".join(_hocr_line(number, at, line) for at, line in enumerate(page.lines, 1))
    title = f"bbox 0 0 {page.width} {page.height}; ppageno {number}"
    return f'<div class="ocr_page" id="page_{number + 1}" title="{title}">\n{lines}</div>\n'


def _hocr_line(number: int, at: int, line: OcrLine) -> str:
    facts = []
    if (place := shapes.box(line)) is not None:
        facts.append("bbox " + " ".join(str(round(edge)) for edge in place))
    if line.confidence is not None:
        facts.append(f"x_confs {line.confidence * 100:.0f}")
    text = quoteattr(_xml(line.text), {'"': "&quot;"})[1:-1]
    return f'<span class="ocr_line" id="line_{number + 1}_{at}" title="{"; ".join(facts)}">{text}</span><br/>\n'


def _alto_page(number: int, page: OcrResult) -> str:
    size = f'WIDTH="{page.width}" HEIGHT="{page.height}"'
    lines = "".join(_alto_line(line) for line in page.lines)
    block = f'<TextBlock ID="block_{number + 1}">\n{lines}</TextBlock>' if lines else ""
    head = f'<Page ID="page_{number + 1}" PHYSICAL_IMG_NR="{number + 1}" {size}>'
    return f'{head}<PrintSpace HPOS="0" VPOS="0" {size}>{block}</PrintSpace></Page>\n'


def _alto_line(line: OcrLine) -> str:
    place = ""
    if (edges := shapes.box(line)) is not None:
        left, top, right, bottom = (round(edge) for edge in edges)
        place = f' HPOS="{left}" VPOS="{top}" WIDTH="{right - left}" HEIGHT="{bottom - top}"'
    sure = "" if line.confidence is None else f' WC="{line.confidence:.2f}"'
    content = quoteattr(_xml(line.text), {'"': "&quot;"})
    return f"<TextLine{place}><String{place}{sure} CONTENT={content}/></TextLine>\n"


def _xml(text: str) -> str:
    """Without what no XML document may hold."""
    return _NOT_XML.sub("\ufffd", text)
