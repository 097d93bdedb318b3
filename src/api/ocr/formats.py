"""What a read document can be given as: JSON, plain text, Markdown, HTML, hOCR, ALTO, a searchable PDF. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from flask import Response

from src.api import page_markup
from src.api.ocr import pdf, shapes, xml_formats
from src.api.ocr.page_parts import PLAIN, View
from src.api.ocr.schemas import Format
from src.api.service import json_response
from src.errors import InvalidRequest
from src.ipc.messages.ocr import OcrPage, OcrResult

FAILED_PAGES = "X-Ocr-Failed-Pages"
_MIMETYPES: dict[str, str] = {
    "text": "text/plain; charset=utf-8",
    "markdown": "text/markdown; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "hocr": "application/xhtml+xml; charset=utf-8",
    "alto": "application/xml; charset=utf-8",
    "pdf": "application/pdf",
}
_HTML_HEAD = """<!DOCTYPE html>
<html><head><meta charset="utf-8"><title></title></head><body>
"""


def response(
    name: str, pages: Sequence[OcrPage], size: int, wanted: Format, view: View = PLAIN, document: bytes = b""
) -> Response:
    """The document as `wanted`. What is no JSON names the pages that could not be read in a header.

    `document`: what was sent, if it is a PDF that was made searchable.
    """
    if wanted == "json":
        return json_response(shapes.document(name, pages, size, view))
    ordered = sorted(pages, key=lambda page: page.number)
    read = [(page.number, page.outcome) for page in ordered if isinstance(page.outcome, OcrResult)]
    body = document if document and wanted == "pdf" else render(read, wanted, view)
    answer = Response(body, content_type=_MIMETYPES[wanted])
    failed = [str(page.number + 1) for page in ordered if not isinstance(page.outcome, OcrResult)]
    if failed:
        answer.headers[FAILED_PAGES] = ",".join(failed)
    return answer


def render(pages: Sequence[tuple[int, OcrResult]], wanted: Format, view: View = PLAIN) -> bytes:
    if wanted == "pdf":
        if not all(result.picture for _, result in pages):
            raise InvalidRequest("A searchable PDF must be asked for when the document is sent.", param="format")
        return pdf.write([result for _, result in pages])
    if wanted == "hocr":
        return xml_formats.hocr(pages)
    if wanted == "alto":
        return xml_formats.alto(pages)
    if wanted == "markdown":
        texts = (_markdown(page, view) for _, page in pages)
        return ("\n\n".join(texts) + "\n").encode()
    if wanted == "html":
        sections = (f"<section>\n{page_markup.page_html(page)}\n</section>\n" for _, page in pages)
        return (_HTML_HEAD + "".join(sections) + "</body></html>\n").encode("utf-8", "replace")
    if wanted != "text":
        raise InvalidRequest(f"There is no writer for the format {wanted!r}.", param="format")
    return ("\f".join(page.text for _, page in pages) + "\n").encode()  # as pdftotext divides pages


def _markdown(page: OcrResult, view: View) -> str:
    """One text: tables stand in it, in the form that is asked for, and images, which it cannot hold, are left out."""
    if not page.blocks or page.markdown is not None:
        return page_markup.page_markdown(page)
    without = [kind for kind, apart in (("header", view.header), ("footer", view.footer)) if apart]
    table = page_markup.table_html if view.tables == "html" else None
    return page_markup.markdown(page.blocks, table=table, without=without)
