"""What can be asked of OCR: Mistral's fields and our own, for JSON bodies and form fields alike."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from src.documents import pages
from src.documents.pages import Ranges
from src.errors import InvalidRequest
from src.ipc.messages.base import Priority
from src.ipc.messages.ocr import OcrOptions

Format = Literal["json", "text", "markdown", "html", "hocr", "alto", "pdf"]

PageNumber = Annotated[int, Field(lt=10_000_000)]  # fits the wire; what is negative is told by `pages`

# fields of Mistral's API that cannot change the answer here
_NO_EFFECT = frozenset({"id"})
ANNOTATIONS = ("document_annotation_format", "bbox_annotation_format", "document_annotation_prompt")


class _AnnotationSchema(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    name: str = Field("annotation", max_length=64)
    definition: dict[str, Any] = Field(alias="schema")


class AnnotationFormat(BaseModel):
    """The form of an annotation: a JSON schema that the chat model's answer follows."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    type: Literal["json_schema"]
    json_schema: _AnnotationSchema


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
    include_blocks: bool | None = None
    include_image_base64: bool | None = None
    image_limit: int | None = Field(None, ge=0, le=10_000)
    image_min_size: int | None = Field(None, ge=0, le=100_000)
    table_format: Literal["markdown", "html"] | None = None
    extract_header: bool | None = None
    extract_footer: bool | None = None
    confidence_scores_granularity: Literal["word", "page", "block"] | None = None
    draw_boxes: bool = False
    document_annotation_format: AnnotationFormat | None = None
    document_annotation_prompt: str | None = Field(None, max_length=100_000)
    bbox_annotation_format: AnnotationFormat | None = None

    def ranges(self) -> Ranges:
        """Raises InvalidRequest for what is no selection."""
        if self.pages is None or self.pages in ("", []):
            return ()
        return pages.parse(self.pages) if isinstance(self.pages, str) else pages.from_list(self.pages)

    def options(self) -> OcrOptions:
        return OcrOptions(
            self.dpi or 0,
            self.language,
            self.force_ocr,
            picture=self.draw_boxes,
            structure=self.structured,
            password=self.password,
            figures=bool(self.include_image_base64 or self.bbox_annotation_format),
            overlay=self.draw_boxes,
            searchable=self.format == "pdf",
        )

    @property
    def structured(self) -> bool:
        """Whether something that is asked for needs the page's blocks."""
        asked = (self.include_blocks, self.include_image_base64, self.extract_header, self.extract_footer)
        return any(asked) or bool(
            self.table_format
            or self.bbox_annotation_format
            or self.confidence_scores_granularity == "block"
            or self.format in ("markdown", "html")
        )

    @model_validator(mode="after")
    def _check_annotations(self) -> Self:
        """Raises InvalidRequest for an annotation that has no place in the answer, or a prompt without a form."""
        if self.document_annotation_prompt is not None and self.document_annotation_format is None:
            text = "'document_annotation_prompt' needs 'document_annotation_format'."
            raise InvalidRequest(text, param="document_annotation_prompt")
        if self.annotated is not None and self.format != "json":
            raise InvalidRequest(f"{self.annotated!r} needs format=json.", param=self.annotated)
        return self

    @property
    def annotated(self) -> str | None:
        """The field that asks for an annotation, if there is one."""
        return next((name for name in ANNOTATIONS[:2] if getattr(self, name) is not None), None)

    @property
    def ignored(self) -> list[str]:
        """Fields nobody knows, to be named in the response's header."""
        return sorted(set(self.model_extra or {}) - _NO_EFFECT)


class _Url(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)

    url: str


class OcrSource(BaseModel):
    """Mistral's `document`: a chunk that holds a data URL, or names a file that is kept here; also bare base64."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)

    type: Literal["document_url", "image_url", "base64", "file"] | None = None
    document_url: str | None = None
    image_url: str | _Url | None = None
    base64: str | None = None
    file_id: str | None = Field(None, max_length=128)

    @property
    def file(self) -> str | None:
        """The id of a file that is kept here, if that is the document."""
        if self.type == "file" and self.file_id is None:
            raise InvalidRequest("Missing required parameter: 'document.file_id'.", param="document.file_id")
        return self.file_id if self.type in ("file", None) else None

    def text(self) -> str:
        """The data, under the field that `type` names."""
        values: dict[str, str | _Url | None] = {
            "document_url": self.document_url,
            "image_url": self.image_url,
            "base64": self.base64,
        }
        kind: str = self.type or next((name for name, value in values.items() if value is not None), "document_url")
        if (value := values[kind]) is None:
            raise InvalidRequest(f"Missing required parameter: 'document.{kind}'.", param=f"document.{kind}")
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
