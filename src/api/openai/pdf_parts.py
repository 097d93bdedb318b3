"""What a model is shown of a PDF: its name and its pages as text or pictures, under page marks. Pure; used by
`pdf_reader`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from src.api import page_markup
from src.api.cache.pdf_contents import PdfContent
from src.documents import kinds
from src.errors import BackendUnavailable, InvalidDocument, OcrCrashed, Overloaded
from src.ipc.messages.base import Failed
from src.ipc.messages.chat import ImagePart
from src.ipc.messages.ocr import OcrPage, OcrResult

_UNNAMED = "document.pdf"
_LONGEST_NAME = 200
# outcomes of a page that would be the same the next time
_LASTING = frozenset({"invalid_document", "invalid_image", "ocr_crashed"})


def payload(data: str | None, param: str) -> bytes:
    """The base64 text of a PDF, without a data: URL's header.

    Raises:
        InvalidDocument: it is none.
    """
    text = (data or "").encode("ascii", "replace")
    if kinds.kind(kinds.base64_head(text)) != "pdf":
        raise InvalidDocument(
            "The file is not a PDF in base64 or in a data: URL; other files are not read.", param=param
        )
    return text[kinds.base64_start(text) :]


def of_pages(pages: Iterable[OcrPage]) -> PdfContent:
    """The pages' text in their order; one that cannot be read is said in its place.

    Raises:
        ServiceError: no page could be read, or a page found no worker: it may be asked for again.
    """
    outcomes = _outcomes(pages)
    text = "\n\n".join(_page(number, outcome) for number, outcome in outcomes.items())
    return PdfContent((text,), len(outcomes), _is_lasting(outcomes))


def of_pictures(pages: Iterable[OcrPage]) -> PdfContent:
    """The pages' pictures in their order, each behind its mark. Raises as `of_pages`."""
    outcomes = _outcomes(pages)
    parts = tuple(part for number, outcome in outcomes.items() for part in _picture(number, outcome))
    return PdfContent(parts, len(outcomes), _is_lasting(outcomes))


def _outcomes(pages: Iterable[OcrPage]) -> dict[int, OcrResult | Failed]:
    """By number, from 1."""
    outcomes = {page.number + 1: page.outcome for page in pages}  # a page may come again after a crash of the broker
    _refuse(outcomes)
    return dict(sorted(outcomes.items()))


def _is_lasting(outcomes: Mapping[int, OcrResult | Failed]) -> bool:
    return all(one.code in _LASTING for one in outcomes.values() if isinstance(one, Failed))


def _refuse(outcomes: Mapping[int, OcrResult | Failed]) -> None:
    errors = [outcome.error() for outcome in outcomes.values() if isinstance(outcome, Failed)]
    for error in errors:
        if isinstance(error, Overloaded | BackendUnavailable) and not isinstance(error, OcrCrashed):
            raise error
    if errors and len(errors) == len(outcomes):
        raise errors[0]


def _picture(number: int, outcome: OcrResult | Failed) -> tuple[str | ImagePart, ...]:
    if isinstance(outcome, Failed):
        return (f"{_failed(number, outcome)}\n\n",)
    return f"[Page {number}]\n", ImagePart(outcome.picture), "\n\n"


def _failed(number: int, outcome: Failed) -> str:
    return f"[Page {number} could not be read: {outcome.error().message}]"


def _page(number: int, outcome: OcrResult | Failed) -> str:
    if isinstance(outcome, Failed):
        return _failed(number, outcome)
    text = page_markup.page_markdown(outcome).strip()
    if not text:
        return f"[Page {number} has no text]"
    cut = f"\n[The rest of page {number} could not be read]" if outcome.truncated else ""
    return f"[Page {number}]\n{text}{cut}"


def shown(filename: str | None, pdf: PdfContent) -> tuple[str | ImagePart, ...]:
    """A PDF as it stands in a turn: on lines of its own between the turn's other texts."""
    count = "1 page" if pdf.pages == 1 else f"{pdf.pages} pages"
    return f"\n[Document {_name(filename)}, {count}]\n\n", *pdf.parts, "\n\n[End of document]\n"


def stand_in(filename: str | None, reason: str) -> str:
    """What stands for a PDF that cannot be read."""
    return f"\n[Document {_name(filename)} could not be read: {reason}]\n"


def _name(filename: str | None) -> str:
    """A client's text: one line of bounded length."""
    printable = "".join(sign if sign.isprintable() else " " for sign in (filename or "")[:_LONGEST_NAME])
    return printable.strip() or _UNNAMED
