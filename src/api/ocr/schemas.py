"""OCR's shapes: Mistral's, with lines, places and confidences beside its markdown.

Requests are pydantic models, for JSON bodies and form fields alike; responses are msgspec structs.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from src.api.wire import ErrorBody, Wire
from src.documents import pages
from src.documents.pages import Ranges
from src.errors import InvalidRequest, UnsupportedValue
from src.ipc.messages.base import Priority
from src.ipc.messages.ocr import OcrOptions

Format = Literal["json", "text", "markdown", "hocr", "alto", "pdf"]

PageNumber = Annotated[int, Field(lt=10_000_000)]  # fits the wire; what is negative is told by `pages`

# fields of Mistral's API that cannot change the answer here
_NO_EFFECT = frozenset({"id", "image_limit", "image_min_size"})
# its fields that are not honoured, with the values that ask for nothing
_UNSUPPORTED: dict[str, tuple[object, ...]] = {
    "include_image_base64": (False,),
    "include_blocks": (False,),
    "table_format": (),
    "extract_header": (False,),
    "extract_footer": (False,),
    "bbox_annotation_format": (),
    "document_annotation_format": (),
    "document_annotation_prompt": (),
    "confidence_scores_granularity": (),
}


class OcrFields(BaseModel):
    """What can be asked for, in a form, a query string or a JSON body."""

    model_config = ConfigDict(extra="allow", frozen=True)

    model: str | None = Field(None, max_length=512)
    pages: Annotated[str, Field(max_length=2048)] | Annotated[list[PageNumber], Field(max_length=10_000)] | None = None
    dpi: int | None = Field(None, ge=36, le=600)
    language: str | None = Field(None, min_length=2, max_length=16, pattern=r"^[a-z]{2,3}(-[A-Za-z]{2,8})?$")
    force_ocr: bool = False
    password: str = Field("", max_length=127, repr=False)
    format: Format = "json"
    priority: Priority | None = None

    def ranges(self) -> Ranges:
        """Raises InvalidRequest for what is no selection."""
        if self.pages is None or self.pages in ("", []):
            return ()
        return pages.parse(self.pages) if isinstance(self.pages, str) else pages.from_list(self.pages)

    def options(self) -> OcrOptions:
        picture = self.format == "pdf"
        return OcrOptions(self.dpi or 0, self.language, self.force_ocr, picture=picture, password=self.password)

    def refuse_unsupported(self) -> None:
        """Raise `UnsupportedValue` for the first field that asks for what is not done here."""
        for name, value in (self.model_extra or {}).items():
            if name in _UNSUPPORTED and value is not None and value not in _UNSUPPORTED[name]:
                raise UnsupportedValue(f"{name!r} with this value is not supported.", param=name)

    @property
    def ignored(self) -> list[str]:
        """Fields nobody knows, to be named in the response's header."""
        return sorted(set(self.model_extra or {}) - _NO_EFFECT - frozenset(_UNSUPPORTED))


class _Url(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)

    url: str


class OcrSource(BaseModel):
    """Mistral's `document`: a chunk that holds a data URL; also bare base64."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)

    type: Literal["document_url", "image_url", "base64"]
    document_url: str | None = None
    image_url: str | _Url | None = None
    base64: str | None = None

    def text(self) -> str:
        """The data, under the field that `type` names."""
        value = {"document_url": self.document_url, "image_url": self.image_url, "base64": self.base64}[self.type]
        if value is None:
            raise InvalidRequest(f"Missing required parameter: 'document.{self.type}'.", param=f"document.{self.type}")
        return value.url if isinstance(value, _Url) else value


class OcrJsonRequest(OcrFields):
    """JSON body of POST /v1/ocr and /v1/ocr/jobs: Mistral's `document`, or `image` with base64 or a data URL."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True)

    document: OcrSource | None = None
    image: Annotated[str, Field(min_length=1)] | None = None

    def text(self) -> tuple[str, str]:
        """The data, and the parameter it came in."""
        if self.document is not None:
            return self.document.text(), "document"
        if self.image is None:
            raise InvalidRequest("Missing required parameter: 'document'.", param="document")
        return self.image, "image"


# ---- responses


class OcrLineOut(Wire, frozen=True):
    """`confidence`, `polygon` and `bbox` are null where the engine gives none."""

    text: str
    confidence: float | None
    polygon: tuple[tuple[float, float], ...] | None
    bbox: tuple[float, float, float, float] | None


class OcrTimingsOut(Wire, frozen=True):
    queue_ms: float
    decode_ms: float
    recognize_ms: float


class Dimensions(Wire, frozen=True):
    """Pixels; `dpi` is null for images."""

    dpi: int | None
    height: int
    width: int


class OcrWarningOut(Wire, frozen=True):
    """What the page's text may lack."""

    code: str
    message: str


class OcrPageOut(Wire, frozen=True):
    """A page that was read. `polygon` and `bbox` are in its pixels; `rotation` is clockwise, degrees."""

    index: int
    markdown: str
    text: str
    images: tuple[()]
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
