"""What the lines of a page are: headings, lists, paragraphs, captions, running heads and feet. Pure.

By a model's regions where there are some, else by size, weight, distances and the marks they begin with.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median
from typing import Literal

from src.ocr.structure.words import Area, around

PartKind = Literal["text", "heading", "item", "caption", "header", "footer"]

_LARGER, _SURELY_LARGER = 1.12, 1.3  # than the page's text: a heading, with or without other signs
_BOLDER = 1.25  # than the page's text
_LONGEST_HEADING = 160  # characters
_EDGE = 0.1  # of the page's height: heads and feet are there
_PARAGRAPH = 1.45  # times the usual step: a new paragraph
_SPACED = (2.2, 4.2)  # heights from line to line of widely spaced text
_EVEN, _INDENT = 0.35, 4.0  # heights by which such steps and the begins of such lines may differ
_FEWEST_SPACED = 2  # such lines: a heading stands as far above the text below it
_SMALL_STARTS = 0.3  # of such lines
_SAME_SIZE = 1.4  # detectors draw boxes of one size a third higher or lower
_SAME_LEVEL = 1.12  # sizes of headings of one level
_MIN_LINES = 4  # of a page with heads and feet

_BULLET = re.compile(r"^\s*([•◦▪▫●○■□‣∙·⁃–—*-]|\(?\d{1,3}[.)]|\(?[a-z][.)]|\(?[ivx]{1,4}[.)])\s+\S")
_PLAIN_BULLET = re.compile(r"^\s*([•◦▪▫●○■□‣∙⁃➢❖◆☐☑☒✓✔✗]|\[\s?[xX✓✔]?\s?\](?=\s))\s*\S")
_SECTION = re.compile(r"^(\d{1,2}(?:\.\d{1,2})*)\.?\s+[^\W\d_]")
_CAPTION = re.compile(r"^(fig(ure|\.)?|table|tab\.|chart|abb(ildung|\.)?|tabelle|figura|tableau|图|表|図)\s*\d", re.I)
_PAGE_NUMBER = re.compile(r"^\W*(page\s+|seite\s+|p\.\s*)?(\d{1,4}|[ivxlc]{1,6})(\s*(/|of|von|de)\s*\d+)?\W*$", re.I)


@dataclass(frozen=True)
class PageLine:
    """A row of text: its place on the upright page, and how bold it is beside the page's other lines (1 is as bold).

    `order`: its place in reading order.
    """

    text: str
    area: Area
    weight: float = 1.0
    order: int = 0

    @property
    def height(self) -> float:
        return max(self.area.height, 1.0)


@dataclass(frozen=True)
class Hint:
    """What a model takes an area for: `title`, `header`, `footer`, or a caption's name."""

    kind: str
    area: Area


@dataclass(frozen=True)
class Part:
    """Lines that belong together. `level`: of a heading; of an item its indentation."""

    kind: PartKind
    lines: tuple[PageLine, ...]
    level: int = 0

    @property
    def area(self) -> Area:
        return around(line.area for line in self.lines)


def divide(lines: Sequence[PageLine], hints: Sequence[Hint], page: Area) -> list[Part]:
    """The page's lines, in reading order, as parts in the same order."""
    if not lines:
        return []
    flowing = _flowing(lines)
    body = _UsualLine.of(lines, flowing)
    kinds = _kinds(lines, hints, page, body, flowing)
    parts: list[Part] = []
    for at, (line, kind) in enumerate(zip(lines, kinds, strict=True)):
        last = parts[-1] if parts else None
        if last is not None and _joins(last, line, kind, body, flows=at in flowing):
            parts[-1] = replace(last, lines=(*last.lines, line))
        else:
            parts.append(Part(kind, (line,)))
    return _with_levels(_without_lone_numbers(parts), body)


@dataclass(frozen=True)
class _UsualLine:
    """The usual line: its height, its step to the next."""

    height: float
    step: float

    @classmethod
    def of(cls, lines: Sequence[PageLine], flowing: Collection[int]) -> _UsualLine:
        weighted = sorted((line.height, len(line.text)) for line in lines)
        half, passed, height = sum(count for _, count in weighted) / 2, 0, weighted[-1][0]
        for one, count in weighted:
            passed += count
            if passed >= half:
                height = one
                break
        steps = enumerate((_step(before, after) for before, after in pairwise(lines)), 1)
        near = [step for at, step in steps if at in flowing or 0.6 * height < step < 2.2 * height]
        return cls(height, median(near) if near else 1.3 * height)


def _step(before: PageLine, after: PageLine) -> float:
    return after.area.middle - before.area.middle


def _flowing(lines: Sequence[PageLine]) -> set[int]:
    """Lines that go on with the one above though far below it: text of one and a half or two lines' spacing.

    Such lines come at even steps, and many begin with small letters, as the rows of a form do not.
    """
    found, run = set[int](), list[int]()
    for at in range(1, len(lines) + 1):
        if at < len(lines) and _is_spaced(lines, at, run[0] if run else at):
            run.append(at)
            continue
        small = sum(lines[one].text[:1].islower() for one in run)
        found |= set(run) if len(run) >= _FEWEST_SPACED and small >= _SMALL_STARTS * len(run) else set()
        run = [at] if at < len(lines) and _is_spaced(lines, at, at) else []
    return found


def _is_spaced(lines: Sequence[PageLine], at: int, first: int) -> bool:
    """Whether a line stands below the one above it as the first one of its run does below its own."""
    above, line = lines[at - 1], lines[at]
    step, height = _step(above, line), min(above.height, line.height)
    even = abs(step - _step(lines[first - 1], lines[first])) < _EVEN * height
    beside = abs(above.area.left - line.area.left) < _INDENT * height
    alike = max(above.height, line.height) < _SAME_SIZE * height
    return _SPACED[0] * height < step < _SPACED[1] * height and even and beside and alike


# ---- kinds of lines


def _kinds(
    lines: Sequence[PageLine], hints: Sequence[Hint], page: Area, body: _UsualLine, flowing: Collection[int]
) -> list[PartKind]:
    edges = _edges(lines, hints, page, body)
    return [edges.get(at) or _kind(at, lines, hints, body, flowing) for at in range(len(lines))]


def _kind(
    at: int, lines: Sequence[PageLine], hints: Sequence[Hint], body: _UsualLine, flowing: Collection[int]
) -> PartKind:
    line = lines[at]
    hinted = next((hint.kind for hint in hints if hint.area.holds(line.area)), "")
    if _CAPTION.match(line.text) and (hinted.endswith("caption") or len(line.text) < _LONGEST_HEADING):
        return "caption"
    if _is_heading(line, hinted, _above(at, lines), body) and not _goes_on(at, lines, body, flowing):
        return "heading"
    if _BULLET.match(line.text) or _PLAIN_BULLET.match(line.text):
        return "item"
    return "caption" if hinted.endswith("caption") else "text"


def _above(at: int, lines: Sequence[PageLine]) -> float:
    """The step from the line above, or from the top of a column: far."""
    step = lines[at].area.middle - lines[at - 1].area.middle if at else float("inf")
    return step if step > 0 else float("inf")


def _goes_on(at: int, lines: Sequence[PageLine], body: _UsualLine, flowing: Collection[int]) -> bool:
    """Whether a line that is neither bold nor large goes on in usual print, with a small letter, on the next one."""
    if at + 1 == len(lines):
        return False
    line, after = lines[at], lines[at + 1]
    flows = at + 1 in flowing
    near = flows or 0 < _step(line, after) < _PARAGRAPH * body.step
    large = line.height > _SURELY_LARGER * after.height or after.height > _SURELY_LARGER * body.height
    small = flows or after.text[:1].islower()
    return near and not large and small and max(line.weight, after.weight) <= _BOLDER


def _is_heading(line: PageLine, hinted: str, above: float, body: _UsualLine) -> bool:
    text = line.text.strip()
    if len(text) > _LONGEST_HEADING or not any(map(str.isalpha, text)) or _PLAIN_BULLET.match(text):
        return False
    larger, sentence = line.height / body.height, text.endswith((".", ",", ";"))
    apart = above > 1.15 * body.step
    signs = [larger > _LARGER, line.weight > _BOLDER, hinted == "title", bool(_SECTION.match(text)) and apart]
    if larger > _SURELY_LARGER and hinted in ("title", ""):
        return True
    return not sentence and sum(signs) + (apart and len(text) < 80) >= 2 and any(signs[:3])


def _edges(lines: Sequence[PageLine], hints: Sequence[Hint], page: Area, body: _UsualLine) -> dict[int, PartKind]:
    """Running heads and feet: small lines near the page's edges, apart from what is between."""
    if len(lines) < _MIN_LINES:
        return {}
    by_height = sorted(range(len(lines)), key=lambda at: lines[at].area.middle)
    found: dict[int, PartKind] = {}
    for order, kind in ((by_height, "header"), (by_height[::-1], "footer")):
        for at in _edge(order, lines, kind, hints, page, body):
            found[at] = "header" if kind == "header" else "footer"
    return found


def _edge(
    order: Sequence[int], lines: Sequence[PageLine], kind: str, hints: Sequence[Hint], page: Area, body: _UsualLine
) -> list[int]:
    """The lines from an edge inwards, to the first wide gap; none if there is no such gap."""
    found: list[int] = []
    for at, inner in pairwise(order):
        line = lines[at]
        depth = line.area.middle - page.top if kind == "header" else page.bottom - line.area.middle
        if depth > _EDGE * page.height or line.height > _SURELY_LARGER * body.height or len(found) > 5:
            return []
        found.append(at)
        gap = abs(lines[inner].area.middle - line.area.middle)
        hinted = any(hint.kind == kind and hint.area.holds(line.area) for hint in hints)
        titled = any(hint.kind == "title" and hint.area.holds(line.area) for hint in hints)
        stands_out = line.height > _LARGER * body.height and line.weight > _BOLDER
        least = 1.1 if hinted or _PAGE_NUMBER.match(line.text) else 1.6
        if gap > least * body.step:
            return [] if titled and (stands_out or not hinted) else found
    return []


# ---- parts


def _joins(part: Part, line: PageLine, kind: PartKind, body: _UsualLine, *, flows: bool) -> bool:
    """Whether a line goes on with the part before it."""
    last = part.lines[-1]
    step = _step(last, line)
    if part.kind in ("header", "footer"):
        return kind == part.kind
    near = flows or 0 < step < _PARAGRAPH * max(body.step, 1.25 * min(last.height, line.height))
    overlap = min(last.area.right, line.area.right) - max(last.area.left, line.area.left)
    alike = max(last.height, line.height) < _SAME_SIZE * min(last.height, line.height)
    if not near or overlap <= 0 or not alike:
        return False
    if part.kind == "item":  # its text goes on below its text, not below its mark
        return kind == "text" and line.area.left > part.lines[0].area.left + 0.4 * body.height
    if part.kind == "caption":
        return kind in ("caption", "text") and not _CAPTION.match(line.text)
    if part.kind == "heading":  # one of several lines, not two
        same = max(last.height, line.height) < _SAME_LEVEL * min(last.height, line.height)
        return kind == "heading" and same and not _SECTION.match(line.text) and step < 1.4 * line.height
    return part.kind == kind


def _without_lone_numbers(parts: Sequence[Part]) -> list[Part]:
    """An item with a number or a dash that has no other beside it is text."""
    found: list[Part] = []
    for at, part in enumerate(parts):
        beside = [other.kind == "item" for other in (*parts[max(0, at - 1) : at], *parts[at + 1 : at + 2])]
        lone = part.kind == "item" and not any(beside) and not _PLAIN_BULLET.match(part.lines[0].text)
        found.append(replace(part, kind="text") if lone else part)
    return found


def _with_levels(parts: Sequence[Part], body: _UsualLine) -> list[Part]:
    sizes = _levels([median(line.height for line in part.lines) for part in parts if part.kind == "heading"])
    items = [part.lines[0].area.left for part in parts if part.kind == "item"]
    return [_with_level(part, sizes, min(items, default=0.0), body) for part in parts]


def _levels(heights: Iterable[float]) -> list[float]:
    """The least height of each level, from the first."""
    found: list[float] = []
    before = float("inf")
    for height in sorted(heights, reverse=True):
        if before > height * _SAME_LEVEL:
            found.append(height)
        else:
            found[-1] = height
        before = height
    return found


def _with_level(part: Part, sizes: Sequence[float], left: float, body: _UsualLine) -> Part:
    if part.kind == "heading":
        height = median(line.height for line in part.lines)
        rank = 1 + sum(height < size for size in sizes)
        section = _SECTION.match(part.lines[0].text)
        deeper = section[1].count(".") if section and len(sizes) == 1 else 0
        return replace(part, level=min(6, rank + deeper))
    if part.kind == "item":
        return replace(part, level=max(0, round((part.lines[0].area.left - left) / (1.4 * body.height))) if left else 0)
    return part
