"""Between web and the OCR broker, and between the broker and its workers: pages, documents, jobs."""

from __future__ import annotations

from typing import Literal

import msgspec

from src.ipc.messages.base import Failed, Message, Priority

Presence = Literal["never", "beyond_limit", "always"]


class OcrOptions(msgspec.Struct, frozen=True, omit_defaults=True):
    """How pages are read. `dpi`: of PDF pages, 0 is the setting's. `picture`: give each page's JPEG back, too."""

    dpi: int = 0
    language: str | None = None
    force_ocr: bool = False
    picture: bool = False


class OcrRequest(Message, frozen=True):
    """One page to read: the bytes of an image file, or their base64 text, decoded in the worker.

    With `path` it is page `page` (from 0) of the document in that file. `fallback`: by the embedded recognizer.
    `ahead`: pages of the document that will come next to the same worker.
    """

    id: str
    image: bytes
    base64: bool = False
    path: str = ""
    page: int = 0
    options: OcrOptions = OcrOptions()
    priority: Priority = "normal"
    fallback: bool = False
    ahead: tuple[int, ...] = ()


class OcrInspect(Message, frozen=True):
    """Asks a worker how many pages the document in a file has."""

    id: str
    path: str
    base64: bool = False
    options: OcrOptions = OcrOptions()


class OcrDocument(Message, frozen=True):
    """A whole document, from web to the broker. `pages`: first and last of each range, from 0; empty is all of them.

    `as_job`: whether it is answered page by page on this connection, or becomes a job; `max_pages`: the limit for that.
    `owner`: the name of the key that asks; a job belongs to it.
    """

    id: str
    data: bytes
    base64: bool = False
    pages: tuple[tuple[int, int], ...] = ()
    options: OcrOptions = OcrOptions()
    priority: Priority = "normal"
    as_job: Presence = "never"
    max_pages: int = 1
    timeout_s: float = 300.0
    format: str = "json"
    owner: str = ""


class OcrJobRequest(Message, frozen=True):
    """Asks for a job: its state and pages, the same as they come, or its end.

    `after`: pages the client has seen. `pictures`: pages come with their JPEGs, if the job made any. `owner`: whose job
    it has to be; None is anybody's.
    """

    id: str
    job: str
    action: Literal["get", "watch", "cancel"]
    after: int = 0
    pictures: bool = False
    owner: str | None = ""


class OcrLine(msgspec.Struct, frozen=True):
    """One line of text. `polygon`: four (x, y) corners, pixels of the given image, clockwise from the line's start."""

    text: str
    confidence: float | None
    polygon: tuple[tuple[float, float], ...]


class OcrTimings(msgspec.Struct, frozen=True):
    """Seconds a page waited for a worker, and was decoded and read in it."""

    queue_s: float
    decode_s: float
    recognize_s: float


class OcrResult(Message, frozen=True):
    """The one good end of an `OcrRequest`. `rotation`: degrees clockwise the page had to be turned to stand upright.

    `source`: read from pixels, or the PDF's own text. `truncated`: the recognizer was stopped (`reason`: length or
    repetition). `fallback`: another engine than the chosen one read it. `picture`: a JPEG, if it was asked for.
    """

    engine: str
    text: str
    lines: tuple[OcrLine, ...]
    width: int
    height: int
    rotation: int
    skew_degrees: float
    timings: OcrTimings
    source: Literal["ocr", "text_layer"] = "ocr"
    markdown: str | None = None
    dpi: int | None = None
    truncated: bool = False
    reason: str | None = None
    fallback: bool = False
    picture: bytes = b""


class OcrContents(Message, frozen=True):
    """What a document holds: a worker's answer to `OcrInspect`."""

    kind: str
    pages: int


class OcrGivenUp(Message, frozen=True):
    """A worker's last answer: the page's outcome, with which the worker ends. The page is not tried again."""

    outcome: Failed


class OcrTaken(Message, frozen=True):
    """A document was accepted: its kind, and the numbers (from 0) of the pages that will come, in any order."""

    kind: str
    pages: tuple[int, ...]


class OcrPage(Message, frozen=True):
    """One page of a document is done. `sequence` counts them in order of completion, from 1."""

    number: int
    outcome: OcrResult | Failed
    sequence: int = 0


class OcrFinished(Message, frozen=True):
    """The one good end of an `OcrDocument` that did not become a job."""


JobState = Literal["queued", "running", "done", "failed", "cancelled"]


class OcrJob(Message, frozen=True):
    """A job as it is now; also the good end of an `OcrDocument` that became one. `created`, `expires`: Unix time."""

    id: str
    state: JobState
    format: str
    created: float
    expires: float
    bytes: int
    total: int | None = None
    done: int = 0
    failed: int = 0
    eta_s: float | None = None
    error: Failed | None = None
    owner: str = ""
