"""OCR's answers: Mistral's shapes, with lines, places and confidences beside its markdown."""

from __future__ import annotations

import msgspec

from src.api.paging import Listed
from src.api.wire import ErrorBody, Wire
from src.ipc.messages.blocks import OcrCell


class OcrLineOut(Wire, frozen=True):
    """`confidence`, `polygon` and `bbox` are null where the engine gives none."""

    text: str
    confidence: float | None
    polygon: tuple[tuple[float, float], ...] | None
    bbox: tuple[float, float, float, float] | None
    words: tuple[OcrWordOut, ...] | msgspec.UnsetType = msgspec.UNSET


class OcrTimingsOut(Wire, frozen=True):
    queue_ms: float
    decode_ms: float
    recognize_ms: float


class Dimensions(Wire, frozen=True):
    """Pixels, and how many of them make an inch."""

    dpi: int
    height: int
    width: int


class OcrWarningOut(Wire, frozen=True):
    """What the page's text may lack."""

    code: str
    message: str


class OcrWordOut(Wire, frozen=True):
    text: str
    polygon: tuple[tuple[float, float], ...]


class OcrImageOut(Wire, frozen=True):
    """A figure of a page; `image_base64` is a data URL of a JPEG."""

    id: str
    top_left_x: int
    top_left_y: int
    bottom_right_x: int
    bottom_right_y: int
    image_base64: str | None = None
    image_annotation: str | None = None


class WordConfidenceOut(Wire, frozen=True):
    """`confidence`: of the word's line, where the engine gives no other. `start_index`: in the page's markdown."""

    text: str
    confidence: float
    start_index: int


class PageConfidenceOut(Wire, frozen=True):
    average_page_confidence_score: float
    minimum_page_confidence_score: float
    word_confidence_scores: tuple[WordConfidenceOut, ...] | msgspec.UnsetType = msgspec.UNSET


class BlockConfidenceOut(Wire, frozen=True):
    average_content_confidence_score: float | None
    minimum_content_confidence_score: float | None
    block_type_confidence_score: None = None


class OcrTableOut(Wire, frozen=True):
    id: str
    content: str
    format: str


class OcrBlockOut(Wire, frozen=True):
    """A part of a page, in Mistral's words; `level` is a title's, `cells` a table's."""

    type: str
    top_left_x: int
    top_left_y: int
    bottom_right_x: int
    bottom_right_y: int
    content: str
    confidence_scores: BlockConfidenceOut | None | msgspec.UnsetType = msgspec.UNSET
    level: int | msgspec.UnsetType = msgspec.UNSET
    table_id: str | None | msgspec.UnsetType = msgspec.UNSET
    image_id: str | msgspec.UnsetType = msgspec.UNSET
    cells: tuple[OcrCell, ...] | msgspec.UnsetType = msgspec.UNSET


class OcrPageOut(Wire, frozen=True):
    """A page that was read. `polygon` and `bbox` are in its pixels; `rotation` is clockwise, degrees."""

    index: int
    markdown: str
    text: str
    images: tuple[OcrImageOut, ...]
    dimensions: Dimensions
    lines: tuple[OcrLineOut, ...]
    confidence: float | None
    rotation: int
    skew_degrees: float
    source: str
    engine: str
    truncated: bool
    reason: str | None
    fallback: bool
    timings: OcrTimingsOut
    source_reason: str | None = None
    warnings: tuple[OcrWarningOut, ...] = ()
    error: None = None
    blocks: tuple[OcrBlockOut, ...] | msgspec.UnsetType = msgspec.UNSET
    tables: tuple[OcrTableOut, ...] | msgspec.UnsetType = msgspec.UNSET
    header: str | None | msgspec.UnsetType = msgspec.UNSET
    footer: str | None | msgspec.UnsetType = msgspec.UNSET
    confidence_scores: PageConfidenceOut | None | msgspec.UnsetType = msgspec.UNSET
    overlay_base64: str | msgspec.UnsetType = msgspec.UNSET


class OcrPageFailed(Wire, frozen=True):
    """A page that could not be read."""

    index: int
    error: ErrorBody
    markdown: str = ""
    text: str = ""
    images: tuple[()] = ()
    dimensions: None = None
    lines: tuple[()] = ()
    confidence: None = None


class UsageInfo(Wire, frozen=True):
    pages_processed: int
    doc_size_bytes: int


class OcrDocumentOut(Wire, frozen=True):
    """The answer of /v1/ocr. For one page, its fields stand on top as well."""

    id: str
    model: str
    text: str
    pages: tuple[OcrPageOut | OcrPageFailed, ...]
    usage_info: UsageInfo
    document_annotation: str | None = None
    object: str = "ocr.document"
    lines: tuple[OcrLineOut, ...] | msgspec.UnsetType = msgspec.UNSET
    width: int | msgspec.UnsetType = msgspec.UNSET
    height: int | msgspec.UnsetType = msgspec.UNSET
    rotation: int | msgspec.UnsetType = msgspec.UNSET
    skew_degrees: float | msgspec.UnsetType = msgspec.UNSET
    timings: OcrTimingsOut | msgspec.UnsetType = msgspec.UNSET


class OcrJobOut(Wire, frozen=True):
    """A job. `result` holds the pages that are done, also while others are not; null in events."""

    id: str
    status: str
    format: str
    created_at: int
    expires_at: int
    pages_total: int | None
    pages_done: int
    pages_failed: int
    eta_seconds: float | None
    error: ErrorBody | None
    result: OcrDocumentOut | None = None
    object: str = "ocr.job"


class OcrJobList(Listed[OcrJobOut], frozen=True):
    """Jobs, without their pages."""
