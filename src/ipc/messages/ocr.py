"""Between web and the OCR broker, and between the broker and its workers: pages, documents, jobs."""

from __future__ import annotations

from typing import Literal

import msgspec

from src.ipc.messages.base import Failed, Message, Priority
from src.ipc.messages.blocks import OcrBlock

Presence = Literal["never", "beyond_limit", "always"]
FileData = bytes  # beside a field of that name
TextSource = Literal["ocr", "text_layer", "mixed"]


class OcrOptions(msgspec.Struct, frozen=True, omit_defaults=True):
    """How pages are read. `dpi`: of PDF pages, 0 is OCR_DPI. `picture`: also return each page as a JPEG;
    `picture_only`: nothing is read.

    `structure`: find headings, lists, tables, running heads and feet (`OcrResult.blocks`).
    `searchable`: pages become a searchable PDF, so those of images come with their picture.
    `figures`: also return what the page's figures show, as JPEGs. `overlay`: draw the boxes of blocks, or of lines, on
    the picture. `password`: of an encrypted PDF; it is never logged.
    """

    dpi: int = 0
    language: str | None = None
    force_ocr: bool = False
    picture: bool = False
    picture_only: bool = False
    structure: bool = False
    password: str = ""
    figures: bool = False
    overlay: bool = False
    searchable: bool = False


class OcrRequest(Message, frozen=True):
    """One page to read: the bytes of an image file, or their base64 text, decoded in the worker.

    With `path` it is page `page` (from 0) of the document in that file. `fallback`: use the bundled recognizer.
    `read_ahead`: pages of the document that the same worker gets next. `owner`: the name of the requesting key.
    """

    id: str
    image: bytes
    base64: bool = False
    path: str = ""
    page: int = 0
    options: OcrOptions = OcrOptions()
    priority: Priority = "normal"
    fallback: bool = False
    read_ahead: tuple[int, ...] = ()
    owner: str = ""


class OcrInspect(Message, frozen=True):
    """Requests a document's kind and page count from a worker; of a PDF also, with the text of these pages, itself."""

    id: str
    path: str
    base64: bool = False
    options: OcrOptions = OcrOptions()
    searchable: tuple[OcrPage, ...] = ()


class OcrDocument(Message, frozen=True):
    """A whole document, from web to the broker. `pages`: first and last of each range, from 0; empty is all of them.

    `as_job`: whether its pages are sent on this connection, or it becomes a job; `max_pages`: the limit for that.
    `owner`: the name of the requesting key; a job belongs to it.
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
    """Get a job with its pages, watch it until it ends, or cancel it.

    `after`: pages the client has seen. `pictures`: include the pages' JPEGs, if any. `owner`: the required owner; None
    is any owner.
    """

    id: str
    job: str
    action: Literal["get", "watch", "cancel"]
    after: int = 0
    pictures: bool = False
    owner: str | None = ""


class OcrWord(msgspec.Struct, frozen=True):
    """A word of a line, with the corners of its place."""

    text: str
    polygon: tuple[tuple[float, float], ...]


class OcrPageCountsRequest(Message, frozen=True):
    """Requests how many pages of jobs were read for each key since this UTC day (2027-01-31)."""

    since: str


class OcrPageCounts(Message, frozen=True):
    """Totals of UTC day and owner; of a day they only grow. `unfinished` jobs may read more."""

    totals: tuple[tuple[str, str, int], ...]
    unfinished: int = 0


class OcrLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of text. `polygon`: four (x, y) corners, pixels of the given image, clockwise from the line's start.

    `words`: empty where the engine does not say where they are.
    """

    text: str
    confidence: float | None
    polygon: tuple[tuple[float, float], ...]
    words: tuple[OcrWord, ...] = ()


class OcrWarning(msgspec.Struct, frozen=True):
    """What a page's result may lack, for a client's code and for a person."""

    code: str
    message: str


class OcrTimings(msgspec.Struct, frozen=True):
    """Seconds in the queue, decoding, and recognizing."""

    queue_s: float
    decode_s: float
    recognize_s: float


class OcrResult(Message, frozen=True):
    """The result of an `OcrRequest`. `rotation`: degrees clockwise that make the page upright.

    `source`: OCR, the PDF's text layer, or both; `source_reason`: why. `truncated`: the recognizer was stopped
    (`reason`: length or repetition). `fallback`: read by the bundled recognizer. `picture`: a JPEG, if requested.
    `blocks`: the page's parts in reading order, if structure was requested and the recognizer gives positions;
    `figures`: JPEGs of those that are figures, in their order, if requested.
    """

    engine: str
    text: str
    lines: tuple[OcrLine, ...]
    width: int
    height: int
    rotation: int
    skew_degrees: float
    timings: OcrTimings
    source: TextSource = "ocr"
    markdown: str | None = None
    dpi: int | None = None
    truncated: bool = False
    reason: str | None = None
    fallback: bool = False
    picture: bytes = b""
    source_reason: str = ""
    warnings: tuple[OcrWarning, ...] = ()
    blocks: tuple[OcrBlock, ...] = ()
    figures: tuple[bytes, ...] = ()


class OcrContents(Message, frozen=True):
    """A document's kind and page count: the reply to `OcrInspect`. `pdf`: the searchable PDF, if it was requested.

    `more`: it has more pages than were counted.
    """

    kind: str
    pages: int
    pdf: bytes = b""
    more: bool = False


class OcrGivenUp(Message, frozen=True):
    """A worker's last reply before it exits: the page's outcome. The page is not retried."""

    outcome: Failed


class OcrTaken(Message, frozen=True):
    """A document was accepted: its kind, and the numbers (from 0) of the pages that will come, in any order."""

    kind: str
    pages: tuple[int, ...]


class OcrPage(Message, frozen=True):
    """One finished page of a document. `sequence`: order of completion, from 1."""

    number: int
    outcome: OcrResult | Failed
    sequence: int = 0


class OcrFinished(Message, frozen=True):
    """The end of an `OcrDocument` that did not become a job. `pdf`: what was sent, made searchable, if requested."""

    pdf: bytes = b""


JobState = Literal["queued", "running", "done", "failed", "cancelled"]


class OcrJob(Message, frozen=True):
    """A job's state; also the end of an `OcrDocument` that became one. `created`, `expires`: Unix time.

    `pdf`: the searchable PDF of one that is done, if pictures were requested.
    """

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
    pdf: FileData = b""
