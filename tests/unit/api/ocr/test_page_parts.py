"""What Mistral's fields ask of a page: blocks, tables, images, running heads, confidences."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from src.api.ocr import page_parts, shapes
from src.api.ocr.page_parts import View
from src.api.ocr.schemas import OcrFields
from src.ipc.messages.blocks import OcrBlock, OcrCell
from src.ipc.messages.ocr import OcrLine, OcrPage, OcrResult, OcrTimings, OcrWord

JPEG = b"\xff\xd8 a picture"


def line(text: str, top: float, confidence: float | None = 0.9) -> OcrLine:
    corners = ((10.0, top), (200.0, top), (200.0, top + 20), (10.0, top + 20))
    return OcrLine(text, confidence, corners, tuple(OcrWord(word, corners) for word in text.split()))


BLOCKS = (
    OcrBlock("header", (10, 0, 200, 20), "Harbour office"),
    OcrBlock("heading", (10, 30, 200.4, 50), "Berths", level=2),
    OcrBlock("table", (10, 60, 200, 100), "a b\nc", cells=(OcrCell(0, 0, "a", header=True), OcrCell(0, 1, "b"))),
    OcrBlock("figure", (10, 110, 14, 114)),
    OcrBlock("figure", (10, 120, 110, 220)),
    OcrBlock("text", (-3, 230, 400, 250), "The end."),
)
PAGE = OcrResult(
    "rapidocr",
    "Harbour office\nBerths\nThe end.",
    (line("Harbour office", 0, 0.8), line("Berths", 30), line("The end.", 230, 0.7)),
    300,
    400,
    0,
    0.0,
    OcrTimings(0.1, 0.2, 0.3),
    blocks=BLOCKS,
    figures=(b"tiny", JPEG),
)


def shown(page: OcrResult = PAGE, **fields: Any) -> dict[str, Any]:
    view = View.of(OcrFields.model_validate(fields))
    made: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(shapes.page_out(OcrPage(0, page), view)))
    return made


def test_nothing_is_added_that_was_not_asked_for() -> None:
    """The answer is as large as before."""
    assert {"blocks", "tables", "header", "footer", "confidence_scores", "overlay_base64"} & set(shown()) == set()
    assert "words" not in shown()["lines"][0]


def test_blocks_have_mistrals_names_and_whole_pixels() -> None:
    """Each with its box within the page, and what it refers to."""
    blocks = shown(include_blocks=True, include_image_base64=True, table_format="html")["blocks"]
    assert [block["type"] for block in blocks] == ["header", "title", "table", "image", "image", "text"]
    edges = ("top_left_x", "top_left_y", "bottom_right_x", "bottom_right_y")
    assert [blocks[1][edge] for edge in edges] == [10, 30, 200, 50]
    assert [blocks[5][edge] for edge in edges] == [0, 230, 300, 250]
    assert (blocks[1]["level"], blocks[1]["content"]) == (2, "Berths")
    assert (blocks[2]["table_id"], blocks[2]["cells"][0]["text"]) == ("tbl-0.html", "a")
    assert [block.get("image_id") for block in blocks[3:5]] == ["img-0.jpeg", "img-1.jpeg"]


def test_a_page_without_blocks_is_one() -> None:
    """An engine that knows no structure, or no places, still gives its text in a block."""
    page = msgspec.structs.replace(PAGE, blocks=(), figures=())
    (block,) = shown(page, include_blocks=True)["blocks"]
    assert (block["type"], block["content"], block["bottom_right_y"]) == ("text", PAGE.text, 250)
    bare = msgspec.structs.replace(page, lines=())
    (block,) = shown(bare, include_blocks=True)["blocks"]
    assert (block["bottom_right_x"], block["bottom_right_y"]) == (300, 400)


@pytest.mark.parametrize(("form", "suffix", "holds"), [("markdown", "md", "| a | b |"), ("html", "html", "<td>b</td>")])
def test_tables_stand_apart_in_the_form_that_is_asked_for(form: str, suffix: str, holds: str) -> None:
    """The markdown refers to them, as Mistral's does."""
    page = shown(table_format=form)
    assert [(table["id"], table["format"]) for table in page["tables"]] == [(f"tbl-0.{suffix}", form)]
    assert holds in page["tables"][0]["content"]
    assert f"[tbl-0.{suffix}](tbl-0.{suffix})" in page["markdown"]
    assert holds not in page["markdown"]
    assert "| a | b |" in shown()["markdown"]


def test_running_heads_are_taken_out_of_the_text() -> None:
    """They are fields of their own; one that is not there is null."""
    page = shown(extract_header=True, extract_footer=True)
    assert (page["header"], page["footer"]) == ("Harbour office", None)
    assert "Harbour office" not in page["markdown"]
    assert "Harbour office" in shown()["markdown"]


def test_images_are_given_with_their_places() -> None:
    """As data URLs, where they are asked for, with references in the markdown."""
    page = shown(include_image_base64=True)
    assert [image["id"] for image in page["images"]] == ["img-0.jpeg", "img-1.jpeg"]
    assert page["images"][1]["image_base64"] == page_parts.data_url(JPEG)
    assert (page["images"][1]["top_left_x"], page["images"][1]["bottom_right_y"]) == (10, 220)
    assert "![img-1.jpeg](img-1.jpeg)" in page["markdown"]


def test_images_are_limited() -> None:
    """By number and by size: the references are to those that are left."""
    page = shown(include_image_base64=True, include_blocks=True, image_min_size=50)
    assert [image["image_base64"] for image in page["images"]] == [page_parts.data_url(JPEG)]
    assert "![img-0.jpeg](img-0.jpeg)" in page["markdown"]
    assert "img-1" not in page["markdown"]
    assert [block["image_id"] for block in page["blocks"] if block["type"] == "image"] == ["", "img-0.jpeg"]
    limited = shown(include_image_base64=True, image_limit=1)
    assert len(limited["images"]) == 1
    assert limited["markdown"].count("![") == 1


def test_confidences_of_pages_words_and_blocks() -> None:
    """From the engine's own; where it gives none there are none."""
    page = shown(confidence_scores_granularity="word")
    scores = page["confidence_scores"]
    assert (scores["average_page_confidence_score"], scores["minimum_page_confidence_score"]) == (0.8, 0.7)
    for word in scores["word_confidence_scores"]:
        start = word["start_index"]
        assert page["markdown"][start : start + len(word["text"])] == word["text"]
    assert [word["text"] for word in scores["word_confidence_scores"]] == ["Harbour", "office", "Berths", "The", "end."]
    assert page["lines"][1]["words"][0]["text"] == "Berths"
    blocks = shown(confidence_scores_granularity="block", include_blocks=True)["blocks"]
    assert blocks[1]["confidence_scores"]["average_content_confidence_score"] == 0.9
    assert blocks[4]["confidence_scores"]["average_content_confidence_score"] is None
    silent = msgspec.structs.replace(PAGE, lines=(line("x", 0, None),))
    assert shown(silent, confidence_scores_granularity="page")["confidence_scores"] is None


def test_an_overlay_is_the_pages_picture() -> None:
    """With the boxes drawn by the worker."""
    page = msgspec.structs.replace(PAGE, picture=JPEG)
    assert shown(page, draw_boxes=True)["overlay_base64"] == page_parts.data_url(JPEG)


@pytest.mark.parametrize(
    ("fields", "structure", "figures"),
    [
        ({}, False, False),
        ({"include_blocks": True}, True, False),
        ({"table_format": "html"}, True, False),
        ({"extract_header": True}, True, False),
        ({"include_image_base64": True}, True, True),
        ({"format": "markdown"}, True, False),
        ({"confidence_scores_granularity": "page"}, False, False),
    ],
)
def test_structure_is_read_where_it_is_needed(fields: dict[str, Any], structure: bool, figures: bool) -> None:
    """And nowhere else: it costs time."""
    options = OcrFields.model_validate(fields).options()
    assert (options.structure, options.figures) == (structure, figures)
