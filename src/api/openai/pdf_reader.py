"""Reads the PDFs of chat requests through the OCR broker, each one once: its text is kept, by owner and hash.

Nothing is decoded here. Web process; `translation` makes a reader for each request, `convert` asks it.
"""

from __future__ import annotations

import hashlib
import time

from src.api.cache.pdf_texts import PdfKey, PdfText
from src.api.edge import auth
from src.api.openai import disclosure, pdf_text
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
from src.ipc.messages.ocr import OcrDocument, OcrPage

_LOOK_S = 0.5


class PdfReader:
    """The PDFs of one request: they share CHAT_PDF_PAGES and the request's time budget."""

    def __init__(self, shared: Service, timeout_s: float | None, priority: Priority) -> None:
        self._shared = shared
        self._settings = shared.settings
        self._texts = shared.pdf_texts
        self._priority = priority
        self._pages_left = shared.settings.chat_pdf_pages
        self._timeout_s = min(timeout_s or shared.settings.request_timeout, shared.settings.request_timeout)
        self._deadline = time.monotonic() + self._timeout_s
        self._waited = False

    def __call__(self, file: FileIn, param: str, *, in_result: bool) -> str:
        """A PDF's text. Beside a tool's result one that cannot be read has a line in its place, for the client would
        send the same history for ever.

        Raises:
            InvalidRequest: it is no PDF, is encrypted or damaged, or has too many pages; `param` is the part's.
            ServiceError: OCR is not available, or ran past the request's time budget.
        """
        try:
            return pdf_text.shown(file.filename, self._read(file, param))
        except (InvalidRequest, BackendUnavailable) as error:
            self._shared.metrics.chat_pdfs.labels("failed").inc()
            error.param = param if isinstance(error, InvalidRequest) else None
            if not in_result or not self._is_lasting(error):
                raise
            disclosure.note(DOCUMENT_STAND_IN)
            return pdf_text.stand_in(file.filename, error.message)

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

    def _read(self, file: FileIn, param: str) -> PdfText:
        if not self._settings.chat_pdf_pages:
            raise UnsupportedValue("PDFs are not read here (CHAT_PDF_PAGES=0).", param=param)
        data = pdf_text.payload(file.file_data, param)
        key = PdfKey(auth.owner(), hashlib.sha256(data).hexdigest())
        self._await_other(key)
        pdf = self._texts.get(key)
        self._shared.metrics.chat_pdfs.labels("read" if pdf is None else "cached").inc()
        if pdf is None:
            pdf = self._from_broker(key, data)
        if pdf.pages > self._pages_left:
            raise self._too_many()
        self._pages_left -= pdf.pages
        return pdf

    def _await_other(self, key: PdfKey) -> None:
        """While another request reads the same PDF; as long as the client waits, and the time budget lasts."""
        while self._texts.get(key) is None and (over := self._texts.running(key)) is not None:
            self._waited = True
            with watch_client() as waiting:
                while not over.wait(min(_LOOK_S, self._left_s())):
                    waiting.check()

    def _from_broker(self, key: PdfKey, data: bytes) -> PdfText:
        if not self._pages_left:
            raise self._too_many()
        self._waited = True
        with self._texts.reading(key):
            try:
                pdf = pdf_text.of_pages(self._pages(data))
            except PayloadTooLarge:
                raise self._too_many() from None
            self._texts.put(key, pdf)
        return pdf

    def _pages(self, data: bytes) -> list[OcrPage]:
        left_s = self._left_s()
        document = OcrDocument(
            request_id(),
            data,
            base64=True,
            priority=self._priority,
            max_pages=self._pages_left,
            timeout_s=left_s,
            owner=auth.owner(),
        )
        return self._texts.read_pages(document, left_s)

    def _too_many(self) -> InvalidDocument:
        most = self._settings.chat_pdf_pages
        return InvalidDocument(f"The request's PDFs have too many pages: at most {most} are read (CHAT_PDF_PAGES).")
