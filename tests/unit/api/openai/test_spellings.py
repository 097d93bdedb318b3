"""Pictures and texts in the spellings of clients."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from src.api.openai.spellings import normalize

URL = "data:image/png;base64,AAAA"
SPELLINGS: list[dict[str, Any]] = [
    {"type": "image_url", "image_url": URL},
    {"type": "image_url", "image_url": {"url": URL}},
    {"image_url": {"url": URL}},
    {"type": "input_image", "image_url": URL},
    {"type": "image", "image": URL},
    {"type": "image", "image": "AAAA"},
    {"type": "image", "source_type": "base64", "mime_type": "image/png", "data": "AAAA"},
    {"type": "image", "base64": "AAAA", "mime_type": "image/png"},
    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
    {"type": "media", "mime_type": "image/png", "data": "AAAA"},
    {"inline_data": {"mime_type": "image/png", "data": "AAAA"}},
    {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA\nA A"}},
]
WEB: list[dict[str, Any]] = [
    {"type": "image", "source_type": "url", "url": "https://a.example/x.png"},
    {"type": "image", "url": "https://a.example/x.png"},
    {"type": "image", "source": {"type": "url", "url": "https://a.example/x.png"}},
]


PDF = "data:application/pdf;base64,JVBERi0="
FILES: list[dict[str, Any]] = [
    {"type": "file", "file": {"file_data": PDF}},
    {"type": "file", "file": {"file_data": "JVBERi0"}},
    {"type": "input_file", "file_data": "JVBE\nRi0="},
    {"type": "file", "source_type": "base64", "mime_type": "application/pdf", "data": "JVBERi0="},
    {"type": "file", "base64": "JVBERi0=", "mime_type": "application/pdf"},
    {"type": "file", "data": "JVBERi0=", "mediaType": "application/pdf"},
    {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}},
    {"type": "media", "mime_type": "application/pdf", "data": "JVBERi0="},
    {"inline_data": {"mime_type": "application/pdf", "data": "JVBERi0="}},
    {"type": "image_url", "image_url": {"url": PDF}},
    {"type": "input_image", "image_url": PDF},
]


def made(*parts: Any, **turn: Any) -> Any:
    turns = [{"role": "user", "content": list(parts), **turn}]
    normalize(turns)
    return turns[0]["content"]


@pytest.mark.parametrize("part", SPELLINGS, ids=str)
def test_a_picture(part: dict[str, Any]) -> None:
    assert made(part) == [{"type": "image_url", "image_url": {"url": URL}}]


@pytest.mark.parametrize("part", FILES, ids=str)
def test_a_pdf(part: dict[str, Any]) -> None:
    assert made(part) == [{"type": "file", "file": {"file_data": PDF}}]


def test_a_pdfs_name() -> None:
    for part in ({"type": "file", "file": {"file_data": PDF, "filename": "a.pdf"}}, {**FILES[3], "filename": "a.pdf"}):
        assert made(part)[0]["file"]["filename"] == "a.pdf"


def test_files_that_are_no_pdf_are_left_to_the_schemas() -> None:
    for part in ({"type": "file", "file": {"file_id": "f"}}, {"type": "file", "data": "AAAA", "mime_type": "text/csv"}):
        assert made(part) == [part]


@pytest.mark.parametrize("part", WEB, ids=str)
def test_a_picture_elsewhere(part: dict[str, Any]) -> None:
    assert made(part) == [{"type": "image_url", "image_url": {"url": "https://a.example/x.png"}}]


def test_base64_of_the_web_is_padded() -> None:
    (part,) = made({"type": "image_url", "image_url": "DATA:image/PNG;charset=utf-8;base64,-_8"})
    assert part["image_url"]["url"] == "DATA:image/PNG;charset=utf-8;base64,+/8="


def test_the_detail_is_kept() -> None:
    (part,) = made({"type": "image_url", "image_url": {"url": URL, "detail": "low"}})
    assert part["image_url"]["detail"] == "low"


def test_texts() -> None:
    text = {"type": "text", "text": "a"}
    assert made("a", {"text": "a"}, {"type": "input_text", "text": "a"}, text) == [text] * 4


def test_pictures_beside_a_turn() -> None:
    """As Ollama's clients send them."""
    turns: list[dict[str, Any]] = [{"role": "user", "content": "a", "images": ["AAAA"]}]
    normalize(turns)
    assert turns[0]["content"] == [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": URL}}]


@pytest.mark.parametrize(
    "part",
    [
        {"type": "file", "file": {"file_id": "x"}},
        {"type": "input_audio", "input_audio": {}},
        {"type": "image_url", "image_url": {"url": 5}},
        {"type": "image_url", "image_url": ""},
        {"type": "text", "text": "a", "color": 1},
        {"type": "media", "mime_type": "audio/wav", "data": "AAAA"},
        {},
        5,
        None,
    ],
    ids=str,
)
def test_what_is_no_picture_stays_as_it_is(part: Any) -> None:
    """The schemas say what is wrong with it."""
    assert made(copy.deepcopy(part)) == [part]


def test_a_body_of_any_shape() -> None:
    for odd in (None, 5, "x", [None, 1, {"content": 5}, {"images": 5}]):
        normalize(odd)
