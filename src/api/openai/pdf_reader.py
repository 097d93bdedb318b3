"""Reads the PDFs of chat requests through the OCR broker, each one once: as text, or as pictures of its pages for a
vision model. Both are kept, by owner and hash.

Nothing is decoded here. Web process; `translation` makes a reader for each request, `convert` asks it.
"""

from __future__ import annotations

import hashlib
import time

from src.api.cache.pdf_contents import PdfContent, PdfForm, PdfKey
from src.api.edge import auth
from src.api.openai import disclosure, pdf_parts
from src.api.openai.convert import Parts
from src.api.openai.fields import DOCUMENT_STAND_IN
from src.api.openai.schemas import FileIn
from src.api.service import Service, request_id, watch_client
from src.errors import (
    BackendUnavailable,
    DeadlineExceeded,
    InvalidDocument,
    InvalidRequest,
    PayloadTooLarge,
    ServiceError,
    UnsupportedValue,
)
from src.ipc.messages.base import Priority
from src.ipc.messages.ocr import OcrDocument, OcrOptions, OcrPage

_LOOK_S = 0.5


class PdfReader:
    """The PDFs of one request: they share CHAT_PDF_PAGES, CHAT_PDF_PICTURES and the request's time budget.

    `sees`: the model is shown pages as pictures. A PDF that has more than are left of them is shown as text.
    """

    def __init__(self, shared: Service, timeout_s: float | None, priority: Priority, *, sees: bool = False) -> None:
        self._shared = shared
        self._settings = shared.settings
        self._contents = shared.pdf_contents
        self._priority = priority
        self._pages_left = shared.settings.chat_pdf_pages
        self._pictures_left = min(shared.settings.chat_pdf_pictures, self._pages_left) if sees else 0
        self._timeout_s = min(timeout_s or shared.settings.request_timeout, shared.settings.request_timeout)
        self._deadline = time.monotonic() + self._timeout_s
        self._waited = False

    def __call__(self, file: FileIn, param: str, *, in_result: bool) -> Parts:
        """What the model is shown of a PDF. Beside a tool's result one that cannot be read has a line in its place, for
        the client would send the same history for ever.

        Raises:
            InvalidRequest: it is no PDF, is encrypted or damaged, or has too many pages; `param` is the part's.
            ServiceError: OCR is not available, or ran past the request's time budget.
        """
        try:
            return pdf_parts.shown(file.filename, self._read(file, param))
        except (InvalidRequest, BackendUnavailable) as error:
            self._shared.metrics.chat_pdfs.labels("failed").inc()
            error.param = param if isinstance(error, InvalidRequest) else None
            if not in_result or not self._is_lasting(error):
                raise
            disclosure.note(DOCUMENT_STAND_IN)
            return (pdf_parts.stand_in(file.filename, error.message),)

    def _is_lasting(self, error: ServiceError) -> bool:
        return isinstance(error, InvalidRequest) or not self._settings.ocr_workers

    def timeout_s(self, asked_s: float | None) -> float | None:
        """What reading has left of the time budget; what was asked for, if nothing had to be waited for."""
        return self._left_s() if self._waited else asked_s

    def _left_s(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise DeadlineExceeded(f"Reading the PDFs took longer than the time budget of {self._timeout_s:g} s.")
        return left

    def _read(self, file: FileIn, param: str) -> PdfContent:
        if not self._settings.chat_pdf_pages:
            raise UnsupportedValue("PDFs are not read here (CHAT_PDF_PAGES=0).", param=param)
        data = pdf_parts.payload(file.file_data, param)
        digest = hashlib.sha256(data).hexdigest()
        try:
            pdf = self._pictures(digest, data) or self._content(digest, "text", data, self._pages_left)
        except PayloadTooLarge:
            raise self._too_many() from None
        self._pages_left -= pdf.pages
        return pdf

    def _pictures(self, digest: str, data: bytes) -> PdfContent | None:
        """Its pages; None where the model is shown its text."""
        text = self._contents.get(PdfKey(auth.owner(), digest))
        most = min(self._pictures_left, self._pages_left)
        if most <= 0 or (text is not None and text.pages > most):
            return None
        try:
            pdf = self._content(digest, "pictures", data, most)
        except PayloadTooLarge:
            return None
        self._pictures_left -= pdf.pages
        return pdf

    def _content(self, digest: str, form: PdfForm, data: bytes, most: int) -> PdfContent:
        """A PDF of at most so many pages, in this form.

        Raises:
            PayloadTooLarge: it has more.
        """
        key = PdfKey(auth.owner(), digest, form)
        self._await_other(key)
        kept = self._contents.get(key)
        pdf = kept or self._from_broker(key, data, most)
        if pdf.pages > most:
            raise PayloadTooLarge(f"The PDF has {pdf.pages} pages, more than {most}.")
        self._shared.metrics.chat_pdfs.labels("read" if kept is None else "cached").inc()
        return pdf

    def _await_other(self, key: PdfKey) -> None:
        """While another request reads the same PDF; as long as the client waits, and the time budget lasts."""
        while self._contents.get(key) is None and (over := self._contents.running(key)) is not None:
            self._waited = True
            with watch_client() as waiting:
                while not over.wait(min(_LOOK_S, self._left_s())):
                    waiting.check()

    def _from_broker(self, key: PdfKey, data: bytes, most: int) -> PdfContent:
        if not most:
            raise PayloadTooLarge("No page is left for this PDF.")
        self._waited = True
        with self._contents.reading(key):
            pages = self._pages(data, most, self._options(key.form))
            pdf = pdf_parts.of_pictures(pages) if key.form == "pictures" else pdf_parts.of_pages(pages)
            self._contents.put(key, pdf)
        return pdf

    def _options(self, form: PdfForm) -> OcrOptions:
        if form == "pictures":
            return OcrOptions(picture_only=True)
        return OcrOptions(structure=self._settings.chat_pdf_structure)

    def _pages(self, data: bytes, most: int, options: OcrOptions) -> list[OcrPage]:
        left_s = self._left_s()
        document = OcrDocument(
            request_id(),
            data,
            base64=True,
            priority=self._priority,
            options=options,
            max_pages=most,
            timeout_s=left_s,
            owner=auth.owner(),
        )
        return self._contents.read_pages(document, left_s)

    def _too_many(self) -> InvalidDocument:
        most = self._settings.chat_pdf_pages
        return InvalidDocument(f"The request's PDFs have too many pages: at most {most} are read (CHAT_PDF_PAGES).")
