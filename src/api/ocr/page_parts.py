"""What Mistral's fields ask of a page beside its text: blocks, tables, images, running heads, confidences. Pure."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

import msgspec

from src.api import page_markup
from src.api.ocr.responses import (
    BlockConfidenceOut,
    OcrBlockOut,
    OcrImageOut,
    OcrTableOut,
    PageConfidenceOut,
    WordConfidenceOut,
)
from src.api.ocr.schemas import OcrFields
from src.ipc.messages.blocks import BlockBox, OcrBlock
from src.ipc.messages.ocr import OcrLine, OcrResult

_TYPES = {"heading": "title", "figure": "image"}  # Mistral's words, where they are others
_SUFFIXES = {"markdown": "md", "html": "html"}


@dataclass(frozen=True)
class View:
    """What is shown of a page."""

    blocks: bool = False
    tables: Literal["markdown", "html"] | None = None
    header: bool = False
    footer: bool = False
    confidence: Literal["word", "page", "block"] | None = None
    images: bool = False
    image_limit: int | None = None
    image_min_size: int = 0
    overlay: bool = False

    @classmethod
    def of(cls, fields: OcrFields) -> View:
        return cls(
            bool(fields.include_blocks),
            fields.table_format,
            bool(fields.extract_header),
            bool(fields.extract_footer),
            fields.confidence_scores_granularity,
            bool(fields.include_image_base64),
            fields.image_limit,
            fields.image_min_size or 0,
            fields.draw_boxes,
        )


PLAIN = View()


def markdown(page: OcrResult, view: View) -> str:
    """The page's Markdown, with references to what stands apart."""
    if not page.blocks or page.markdown is not None:
        return page_markup.page_markdown(page)
    without = [kind for kind, apart in (("header", view.header), ("footer", view.footer)) if apart]
    shown, named = iter(images(page, view)), iter(_table_ids(page, view))
    table: Callable[[OcrBlock], str] | None = (lambda _: _link(next(named))) if view.tables else None
    return page_markup.markdown(
        page.blocks,
        table=table,
        figure=lambda block: _figure(block, page, view, shown),
        without=without,
    )


def _figure(block: OcrBlock, page: OcrResult, view: View, shown: Iterator[OcrImageOut]) -> str:
    if not (view.images and _is_shown(block, page, view)):
        return ""
    image = next(shown, None)
    return "" if image is None else f"!{_link(image.id)}"


def _link(name: str) -> str:
    return f"[{name}]({name})"


# ---- images


def images(page: OcrResult, view: View) -> tuple[OcrImageOut, ...]:
    """The page's figures; what they show, if that is asked for."""
    figures = [block for block in page.blocks if block.type == "figure"]
    pictures = list(page.figures) + [b""] * (len(figures) - len(page.figures))
    found = [(block, data) for block, data in zip(figures, pictures, strict=True) if _is_shown(block, page, view)]
    return tuple(_image(at, *one, view) for at, one in enumerate(found[: view.image_limit]))


def _is_shown(block: OcrBlock, page: OcrResult, view: View) -> bool:
    left, top, right, bottom = _whole(block.box, page)
    return min(right - left, bottom - top) >= view.image_min_size


def _image(at: int, block: OcrBlock, data: bytes, view: View) -> OcrImageOut:
    shown = data_url(data) if view.images and data else None
    left, top, right, bottom = (round(edge) for edge in block.box)
    return OcrImageOut(f"img-{at}.jpeg", left, top, right, bottom, shown)


def figure_at(page: OcrResult, number: int, view: View) -> bytes:
    """The JPEG of a shown image."""
    figures = [block for block in page.blocks if block.type == "figure"]
    shown = [data for block, data in zip(figures, page.figures, strict=True) if _is_shown(block, page, view)]
    return shown[number]


def data_url(jpeg: bytes) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")


# ---- blocks and tables


def blocks(page: OcrResult, view: View) -> tuple[OcrBlockOut, ...]:
    """The page's blocks; one of all its text, where the engine gives none."""
    tables, figures = iter(_table_ids(page, view)), iter(images(page, view))
    return tuple(_block(block, page, view, tables, figures) for block in page.blocks or _one_block(page))


def _one_block(page: OcrResult) -> tuple[OcrBlock, ...]:
    edges = [_box(line) for line in page.lines if line.polygon]
    if not edges:
        return (OcrBlock("text", (0, 0, page.width, page.height), page.text),) if page.text else ()
    lefts, tops, rights, bottoms = zip(*edges, strict=True)
    return (OcrBlock("text", (min(lefts), min(tops), max(rights), max(bottoms)), page.text),)


def _block(
    block: OcrBlock, page: OcrResult, view: View, table_ids: Iterator[str], figures: Iterator[OcrImageOut]
) -> OcrBlockOut:
    table, image = block.type == "table", block.type == "figure"
    figure = next(figures, None) if image and _is_shown(block, page, view) else None
    return OcrBlockOut(
        _TYPES.get(block.type, block.type),
        *_whole(block.box, page),
        content=_content(block, view),
        confidence_scores=_block_confidence(block, page) if view.confidence == "block" else msgspec.UNSET,
        level=block.level if block.type == "heading" else msgspec.UNSET,
        table_id=next(table_ids, None) if table else msgspec.UNSET,
        image_id=(figure.id if figure else "") if image else msgspec.UNSET,
        cells=block.cells if table else msgspec.UNSET,
    )


def _content(block: OcrBlock, view: View) -> str:
    return _table(block, view.tables or "markdown") if block.type == "table" else block.text


def _table(block: OcrBlock, form: str) -> str:
    return page_markup.table_html(block) if form == "html" else page_markup.table_markdown(block)


def _whole(box: BlockBox, page: OcrResult) -> tuple[int, int, int, int]:
    """Whole pixels within the page."""
    left, top, right, bottom = box
    return (
        max(0, round(left)),
        max(0, round(top)),
        min(page.width, max(0, round(right))),
        min(page.height, max(0, round(bottom))),
    )


def _table_ids(page: OcrResult, view: View) -> list[str]:
    if view.tables is None:
        return []
    count = sum(block.type == "table" for block in page.blocks)
    return [f"tbl-{at}.{_SUFFIXES[view.tables]}" for at in range(count)]


def tables(page: OcrResult, view: View) -> tuple[OcrTableOut, ...]:
    """The page's tables, in the form that is asked for."""
    form = view.tables or "markdown"
    found = [block for block in page.blocks if block.type == "table"]
    return tuple(
        OcrTableOut(name, _table(block, form), form)
        for name, block in zip(_table_ids(page, view), found, strict=view.tables is not None)
    )


# ---- confidences


def page_confidence(page: OcrResult, text: str, view: View) -> PageConfidenceOut | None:
    """None where the engine gives none. `text`: the page's markdown, in which words are found."""
    scores = [line.confidence for line in page.lines if line.confidence is not None]
    if not scores:
        return None
    words = tuple(_words(page.lines, text)) if view.confidence == "word" else msgspec.UNSET
    return PageConfidenceOut(round(fmean(scores), 4), round(min(scores), 4), words)


def _words(lines: Sequence[OcrLine], text: str) -> Iterator[WordConfidenceOut]:
    """Words that the markdown holds, in its order as far as it is that of the lines."""
    at = 0
    for line in lines:
        for word in line.text.split():
            found = text.find(word, at)
            found = text.find(word) if found < 0 else found
            if found >= 0 and line.confidence is not None:
                at = found + len(word)
                yield WordConfidenceOut(word, line.confidence, found)


def _block_confidence(block: OcrBlock, page: OcrResult) -> BlockConfidenceOut:
    scores = [line.confidence for line in page.lines if line.confidence is not None and is_inside(line, block.box)]
    if not scores:
        return BlockConfidenceOut(None, None)
    return BlockConfidenceOut(round(fmean(scores), 4), round(min(scores), 4))


def is_inside(line: OcrLine, box: BlockBox) -> bool:
    """Its middle."""
    if not line.polygon:
        return False
    left, top, right, bottom = _box(line)
    return box[0] <= (left + right) / 2 <= box[2] and box[1] <= (top + bottom) / 2 <= box[3]


def _box(line: OcrLine) -> tuple[float, float, float, float]:
    xs, ys = [x for x, _ in line.polygon], [y for _, y in line.polygon]
    return min(xs), min(ys), max(xs), max(ys)
