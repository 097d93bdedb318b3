"""Annotations of a PDF page: text that people see on it, and files that hang on it. Called by `pdf`, in an OCR worker.

PDFium draws annotations, but its text has none of theirs: those that show text are flattened into the page's content.
"""

from __future__ import annotations

from collections import Counter

import pypdfium2
from pypdfium2 import raw

from src.errors import InvalidDocument
from src.ipc.messages.ocr import OcrWarning

_SHOW_TEXT = (raw.FPDF_ANNOT_FREETEXT, raw.FPDF_ANNOT_STAMP, raw.FPDF_ANNOT_WATERMARK, raw.FPDF_ANNOT_WIDGET)
_MAX_ANNOTATIONS = 20_000
_MAX_NAMES, _MAX_NAME = 3, 80


def kinds(page: pypdfium2.PdfPage) -> Counter[int]:
    """How many annotations of each kind a page has. Raises InvalidDocument for too many."""
    count = raw.FPDFPage_GetAnnotCount(page)
    if count > _MAX_ANNOTATIONS:
        raise InvalidDocument("The page has too many annotations.", param="file")
    found = Counter[int]()
    for index in range(count):
        if annotation := raw.FPDFPage_GetAnnot(page, index):
            found[raw.FPDFAnnot_GetSubtype(annotation)] += 1
            raw.FPDFPage_CloseAnnot(annotation)
    return found


def flatten(page: pypdfium2.PdfPage, found: Counter[int]) -> bool:
    """Draw the shown annotations of a page into its content, if one has text; then it must be opened anew, without any.

    `found`: its annotations' kinds.
    """
    return bool(found.keys() & set(_SHOW_TEXT)) and raw.FPDFPage_Flatten(page, raw.FLAT_NORMALDISPLAY) == (
        raw.FLATTEN_SUCCESS
    )


def page_warnings(found: Counter[int]) -> tuple[OcrWarning, ...]:
    """What hangs on a page with annotations of these kinds."""
    count = found[raw.FPDF_ANNOT_FILEATTACHMENT]
    return (_not_read(f"{_files(count)} on the page"),) if count else ()


def document_warnings(document: pypdfium2.PdfDocument) -> tuple[OcrWarning, ...]:
    """What the document holds beside its pages."""
    found: list[OcrWarning] = []
    if document.get_formtype() == raw.FORMTYPE_XFA_FULL:
        text = "The PDF is a dynamic XFA form, which only Adobe's programs draw; print it to a PDF there and send that."
        found.append(OcrWarning("dynamic_form", text))
    if count := document.count_attachments():
        found.append(_not_read(f"{_files(count)} attached to the PDF ({_names(document, count)})"))
    return tuple(found)


def _not_read(what: str) -> OcrWarning:
    return OcrWarning("attachments_not_read", f"Not read: {what}. Send attached files by themselves.")


def _files(count: int) -> str:
    return f"{count} file" if count == 1 else f"{count} files"


def _names(document: pypdfium2.PdfDocument, count: int) -> str:
    names = [_short(document.get_attachment(index).get_name()) for index in range(min(count, _MAX_NAMES))]
    return ", ".join([*names, "…"] if count > _MAX_NAMES else names)


def _short(name: str) -> str:
    return f"{name[:_MAX_NAME]}…" if len(name) > _MAX_NAME else name or "without a name"
