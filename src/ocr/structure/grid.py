"""Ruled tables: lines that cross form a grid, and a cell reaches as far as no line divides it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from src.ocr.structure.rulings import Ruling, Rulings
from src.ocr.structure.words import Area, Word

_COVERED = 0.6  # of a cell's side: a line that covers more of it divides
_CROSSING = 0.4  # of a word's height: lines so near cross
_NARROW = 0.7  # of a word's height: lines so near are one
_OPEN = 1.2  # of a word's height: lines that reach so far beyond others enclose a row or column
_MAX_LINES = 400  # of one direction on a page: more are hatching, and would take long
_MAX_PLACES = 4000  # rows times columns


@dataclass(frozen=True)
class GridSpan:
    """A cell of a grid: rows and columns from first to last, without the last."""

    row: int
    column: int
    row_end: int
    column_end: int


@dataclass(frozen=True)
class Grid:
    """Where its lines are, and the cells between them."""

    xs: tuple[float, ...]
    ys: tuple[float, ...]
    spans: tuple[GridSpan, ...]

    @property
    def area(self) -> Area:
        return Area(self.xs[0], self.ys[0], self.xs[-1], self.ys[-1])

    def area_of(self, span: GridSpan) -> Area:
        return Area(self.xs[span.column], self.ys[span.row], self.xs[span.column_end], self.ys[span.row_end])

    def assign(self, words: Sequence[Word]) -> dict[GridSpan, list[Word]]:
        """Each span's words, by their middles; those outside are in the nearest one."""
        places = {
            (row, column): span
            for span in self.spans
            for row in range(span.row, span.row_end)
            for column in range(span.column, span.column_end)
        }
        found: dict[GridSpan, list[Word]] = {span: [] for span in self.spans}
        for word in words:
            found[places[interval(self.ys, word.middle), interval(self.xs, word.center)]].append(word)
        return found


def interval(places: Sequence[float], at: float) -> int:
    """Between which of the places something is, or nearest to which interval."""
    return min(max(sum(place <= at for place in places) - 1, 0), len(places) - 2)


@dataclass
class _Crossing:
    """Lines that touch each other, directly or through others."""

    across: list[Ruling] = field(default_factory=list)
    down: list[Ruling] = field(default_factory=list)


def find(rulings: Rulings, height: float) -> list[Grid]:
    """Grids of at least two cells, on a page whose words have this height."""
    if max(len(rulings.horizontal), len(rulings.vertical)) > _MAX_LINES:
        return []
    grids = (_grid(group, height) for group in _groups(rulings, _CROSSING * height))
    return [grid for grid in grids if grid is not None]


def _groups(rulings: Rulings, slack: float) -> list[_Crossing]:
    groups: list[_Crossing] = []
    ahead = [*rulings.horizontal]
    rest = [*rulings.vertical]
    while ahead:
        group = _Crossing([ahead.pop()])
        _grow(group, ahead, rest, slack)
        groups.append(group)
    return groups


def _grow(group: _Crossing, across: list[Ruling], down: list[Ruling], slack: float) -> None:
    """Move all lines that cross the group's, or lines that do, into it."""
    fresh = True
    while fresh:
        new_down = [v for v in down if any(_cross(h, v, slack) for h in group.across)]
        group.down += new_down
        down[:] = [v for v in down if v not in new_down]
        new_across = [h for h in across if any(_cross(h, v, slack) for v in new_down)]
        group.across += new_across
        across[:] = [h for h in across if h not in new_across]
        fresh = bool(new_across)


def _cross(h: Ruling, v: Ruling, slack: float) -> bool:
    return h.start - slack <= v.at <= h.end + slack and v.start - slack <= h.at <= v.end + slack


def _grid(group: _Crossing, height: float) -> Grid | None:
    slack = _NARROW * height
    ys = _with_ends(_places(group.across, slack), group.down, height)
    xs = _with_ends(_places(group.down, slack), group.across, height)
    if len(ys) < 2 or len(xs) < 2 or not 2 <= (len(ys) - 1) * (len(xs) - 1) <= _MAX_PLACES:
        return None
    rows, columns = len(ys) - 1, len(xs) - 1
    owner = {(row, column): (row, column) for row in range(rows) for column in range(columns)}
    for (row, column), (other_row, other_column) in _open_sides(group, ys, xs, slack):
        _union(owner, (row, column), (other_row, other_column))
    return Grid(tuple(xs), tuple(ys), tuple(_spans(owner)))


def _with_ends(places: list[float], crossing: Sequence[Ruling], height: float) -> list[float]:
    """Also where the crossing lines end, if they reach beyond: tables without lines at their sides."""
    reaching = [line for line in crossing if line.length > 2 * height]
    if not places or not reaching:
        return places
    start, end = min(line.start for line in reaching), max(line.end for line in reaching)
    before = [start] if places[0] - start > _OPEN * height else []
    return [*before, *places, *([end] if end - places[-1] > _OPEN * height else [])]


def _places(lines: Sequence[Ruling], slack: float) -> list[float]:
    """The lines' places, those within the slack as one."""
    places: list[list[float]] = []
    for at in sorted(line.at for line in lines):
        if places and at - places[-1][-1] <= slack:
            places[-1].append(at)
        else:
            places.append([at])
    return [sum(group) / len(group) for group in places]


def _open_sides(
    group: _Crossing, ys: Sequence[float], xs: Sequence[float], slack: float
) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Pairs of neighbours without a line between them."""
    for row in range(len(ys) - 1):
        for column in range(len(xs) - 1):
            if column and not _divides(group.down, xs[column], ys[row], ys[row + 1], slack):
                yield (row, column - 1), (row, column)
            if row and not _divides(group.across, ys[row], xs[column], xs[column + 1], slack):
                yield (row - 1, column), (row, column)


def _divides(lines: Sequence[Ruling], at: float, start: float, end: float, slack: float) -> bool:
    near = [line for line in lines if abs(line.at - at) <= slack]
    covered = sum(max(0.0, min(line.end, end) - max(line.start, start)) for line in near)
    return covered >= _COVERED * (end - start)


_Place = tuple[int, int]


def _root(owner: dict[_Place, _Place], cell: _Place) -> _Place:
    while owner[cell] != cell:
        cell = owner[cell]
    return cell


def _union(owner: dict[_Place, _Place], one: _Place, other: _Place) -> None:
    first, second = sorted((_root(owner, one), _root(owner, other)))
    owner[second] = first


def _spans(owner: dict[_Place, _Place]) -> list[GridSpan]:
    """Connected places as rectangles; what is no rectangle is divided into its places."""
    members: dict[_Place, list[_Place]] = {}
    for cell in owner:
        members.setdefault(_root(owner, cell), []).append(cell)
    spans: list[GridSpan] = []
    for cells in members.values():
        rows, columns = [row for row, _ in cells], [column for _, column in cells]
        whole = GridSpan(min(rows), min(columns), max(rows) + 1, max(columns) + 1)
        if (whole.row_end - whole.row) * (whole.column_end - whole.column) == len(cells):
            spans.append(whole)
        else:
            spans += [GridSpan(row, column, row + 1, column + 1) for row, column in cells]
    return sorted(spans, key=lambda span: (span.row, span.column))
