"""Between the broker's messages and OCR's JSON shapes. Pure: no I/O, no clock."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

import msgspec

from src.api import page_markup
from src.api.ocr import page_parts
from src.api.ocr.page_parts import PLAIN, View
from src.api.ocr.responses import (
    Dimensions,
    OcrDocumentOut,
    OcrJobOut,
    OcrLineOut,
    OcrPageFailed,
    OcrPageOut,
    OcrTimingsOut,
    OcrWarningOut,
    OcrWordOut,
    UsageInfo,
)
from src.api.wire import ErrorBody
from src.ipc.messages.base import Failed
from src.ipc.messages.ocr import OcrJob, OcrLine, OcrPage, OcrResult, OcrTimings

ASSUMED_DPI = 150  # of images that do not say, also in searchable PDFs


def document(name: str, pages: Sequence[OcrPage], size: int, view: View = PLAIN) -> OcrDocumentOut:
    """All pages that are done, in their order."""
    ordered = sorted(pages, key=lambda page: page.number)
    shown = tuple(page_out(page, view) for page in ordered)
    read = [page.outcome for page in ordered if isinstance(page.outcome, OcrResult)]
    whole = OcrDocumentOut(
        id=name,
        model=next((result.engine for result in read if not result.fallback), read[0].engine if read else ""),
        text="\n\n".join(result.text for result in read),
        pages=shown,
        usage_info=UsageInfo(len(shown), size),
    )
    only = shown[0] if len(shown) == 1 else None
    return _with_page(whole, only) if isinstance(only, OcrPageOut) else whole


def _with_page(whole: OcrDocumentOut, page: OcrPageOut) -> OcrDocumentOut:
    return msgspec.structs.replace(
        whole,
        lines=page.lines,
        width=page.dimensions.width,
        height=page.dimensions.height,
        rotation=page.rotation,
        skew_degrees=page.skew_degrees,
        timings=page.timings,
    )


def page_out(page: OcrPage, view: View = PLAIN) -> OcrPageOut | OcrPageFailed:
    if isinstance(page.outcome, Failed):
        return OcrPageFailed(page.number, error_out(page.outcome))
    result = page.outcome
    sure = [line.confidence for line in result.lines if line.confidence is not None]
    shown = OcrPageOut(
        index=page.number,
        markdown=page_parts.markdown(result, view),
        text=result.text,
        images=page_parts.images(result, view),
        dimensions=Dimensions(result.dpi or ASSUMED_DPI, result.height, result.width),
        lines=tuple(_line(line, words=view.confidence == "word") for line in result.lines),
        confidence=round(fmean(sure), 4) if sure else None,
        rotation=result.rotation,
        skew_degrees=result.skew_degrees,
        source=result.source,
        engine=result.engine,
        truncated=result.truncated,
        reason=result.reason,
        fallback=result.fallback,
        timings=_timings(result.timings),
        source_reason=result.source_reason or None,
        warnings=tuple(OcrWarningOut(warning.code, warning.message) for warning in result.warnings),
    )
    return _with_parts(shown, result, view)


def _with_parts(shown: OcrPageOut, result: OcrResult, view: View) -> OcrPageOut:
    """With the parts that are asked for."""
    parts: dict[str, object] = {}
    if view.blocks:
        parts["blocks"] = page_parts.blocks(result, view)
    if view.tables:
        parts["tables"] = page_parts.tables(result, view)
    if view.header:
        parts["header"] = page_markup.running_text(result, "header")
    if view.footer:
        parts["footer"] = page_markup.running_text(result, "footer")
    if view.confidence:
        parts["confidence_scores"] = page_parts.page_confidence(result, shown.markdown, view)
    if view.overlay and result.picture:
        parts["overlay_base64"] = page_parts.data_url(result.picture)
    return msgspec.structs.replace(shown, **parts) if parts else shown


def job_out(job: OcrJob, pages: Sequence[OcrPage] | None = None, view: View = PLAIN) -> OcrJobOut:
    """A job, with its pages or without."""
    return OcrJobOut(
        id=job.id,
        status=job.state,
        format=job.format,
        created_at=int(job.created),
        expires_at=int(job.expires),
        pages_total=job.total,
        pages_done=job.done,
        pages_failed=job.failed,
        eta_seconds=job.eta_s,
        error=None if job.error is None else error_out(job.error),
        result=None if pages is None else document(job.id, pages, job.bytes, view),
    )


def error_out(failed: Failed) -> ErrorBody:
    error = failed.error()
    return ErrorBody(error.message, error.type, error.param, error.code)


def box(line: OcrLine) -> tuple[float, float, float, float] | None:
    """Left, top, right, bottom."""
    if not line.polygon:
        return None
    xs, ys = [x for x, _ in line.polygon], [y for _, y in line.polygon]
    return min(xs), min(ys), max(xs), max(ys)


def _line(line: OcrLine, *, words: bool) -> OcrLineOut:
    shown = tuple(OcrWordOut(word.text, word.polygon) for word in line.words) if words else msgspec.UNSET
    return OcrLineOut(line.text, line.confidence, line.polygon or None, box(line), shown)


def _timings(timings: OcrTimings) -> OcrTimingsOut:
    return OcrTimingsOut(*(round(s * 1000, 1) for s in (timings.queue_s, timings.decode_s, timings.recognize_s)))
