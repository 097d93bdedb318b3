"""Annotations of a document and of its images: the default chat model answers under the JSON schema that is asked for.

A web view's: the pages are read before; nothing is decoded here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from src.api.ocr import page_parts
from src.api.ocr.page_parts import View
from src.api.ocr.responses import OcrDocumentOut, OcrImageOut, OcrPageOut
from src.api.ocr.schemas import AnnotationFormat, OcrFields
from src.api.openai import convert, pdf_parts, translation
from src.api.service import request_id, service
from src.errors import InvalidRequest
from src.ipc.messages.chat import GenerateRequest
from src.ipc.messages.ocr import OcrPage, OcrResult

_DOCUMENT = "Extract what the JSON schema asks for from this document. Answer with the JSON object alone."
_IMAGE = "This picture is part of a document. Describe it as the JSON schema asks. Answer with the JSON object alone."
_NAMES = {"messages": "document", "model": "model"}


def annotate(shown: OcrDocumentOut, pages: Sequence[OcrPage], fields: OcrFields) -> OcrDocumentOut:
    """The answer with the annotations that are asked for.

    Raises:
        ServiceError: the chat model cannot answer; the text is not given without what was asked for.
    """
    if fields.document_annotation_format is not None:
        prompt = fields.document_annotation_prompt or _DOCUMENT
        content = f"{prompt}\n\n{pdf_parts.of_pages(pages).text}"
        (answer,) = _ask([content], fields.document_annotation_format, fields, "document_annotation_format")
        shown = msgspec.structs.replace(shown, document_annotation=answer)
    if fields.bbox_annotation_format is not None:
        shown = _with_images(shown, pages, fields, fields.bbox_annotation_format)
    return shown


def _with_images(
    shown: OcrDocumentOut, pages: Sequence[OcrPage], fields: OcrFields, form: AnnotationFormat
) -> OcrDocumentOut:
    """Each image of each page, asked together."""
    results = {page.number: page.outcome for page in pages if isinstance(page.outcome, OcrResult)}
    images = [(page.index, image) for page in shown.pages if isinstance(page, OcrPageOut) for image in page.images]
    questions = [_image_question(results[index], image, View.of(fields)) for index, image in images]
    answers = iter(_ask(questions, form, fields, "bbox_annotation_format"))
    annotated = tuple(
        msgspec.structs.replace(
            page,
            images=tuple(msgspec.structs.replace(image, image_annotation=next(answers)) for image in page.images),
        )
        if isinstance(page, OcrPageOut)
        else page
        for page in shown.pages
    )
    return msgspec.structs.replace(shown, pages=annotated)


def _image_question(page: OcrResult, image: OcrImageOut, view: View) -> str | list[dict[str, Any]]:
    """The picture, for a model that sees; the text in it and its caption, for one that does not."""
    backends = service().backends
    if not backends.reads_images(backends.check_model(service().settings.default_model)):
        return f"{_IMAGE}\n\nText in the picture:\n{_text_in(page, image)}"
    data = page_parts.figure_at(page, int(image.id.removeprefix("img-").removesuffix(".jpeg")), view)
    return [
        {"type": "text", "text": _IMAGE},
        {"type": "image_url", "image_url": {"url": page_parts.data_url(data)}},
    ]


def _text_in(page: OcrResult, image: OcrImageOut) -> str:
    box = (image.top_left_x, image.top_left_y, image.bottom_right_x, image.bottom_right_y)
    lines = [line.text for line in page.lines if page_parts.is_inside(line, box)]
    captions = [block.text for block in page.blocks if block.type == "caption"]
    return "\n".join([*lines, *(f"Caption: {text}" for text in captions)])


def _ask(
    questions: Sequence[str | list[dict[str, Any]]], form: AnnotationFormat, fields: OcrFields, param: str
) -> list[str]:
    with translation.own_names(_NAMES | {"response_format": param}):
        requests = [_request(at, question, form, fields) for at, question in enumerate(questions)]
        return [_answer(events, param) for events in translation.collect_all(requests)]


def _request(
    at: int, question: str | list[dict[str, Any]], form: AnnotationFormat, fields: OcrFields
) -> GenerateRequest:
    schema = {"name": form.json_schema.name, "schema": form.json_schema.definition}
    _, made = translation.accept(
        {
            "messages": [{"role": "user", "content": question}],
            "response_format": {"type": "json_schema", "json_schema": schema},
            "temperature": 0,
            "priority": fields.priority,
        }
    )
    return msgspec.structs.replace(made, id=f"{request_id()}-{at}")


def _answer(events: list[Any], param: str) -> str:
    """The JSON text.

    Raises:
        InvalidRequest: the model's answer did not end within its limit, and is no JSON.
    """
    choice = convert.completion(events, "", 0, "").choices[0]
    if choice.finish_reason == "length":
        text = "The annotation did not end within the chat model's context: send fewer pages, or a smaller schema."
        raise InvalidRequest(text, param=param)
    return choice.message.content or ""
