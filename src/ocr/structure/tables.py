"""Tables of a page: ruled ones by their lines, others by the gaps between their words. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from src.ipc.messages.blocks import OcrCell
from src.ocr.structure import columns, grid, refine, wrapped
from src.ocr.structure.columns import Cell
from src.ocr.structure.grid import Grid
from src.ocr.structure.rulings import Rulings
from src.ocr.structure.words import Area, Word, around, rows, text_height, text_of

_MIN_FILLED = 0.2  # of a grid's cells; emptier ones are drawings
_LEAST_ROWS = 3  # of an unruled table
_PROSE = 11.0  # widths of a line's height: a column of text
_FULLEST = 0.7  # of the usual number of columns: lines in which gaps are looked for
_WIDER = 1.08  # times the model's area: it missed a column
_WIDEST = 2.0
_JUST_BELOW = 1.4  # heights of a line
_NUMBERS = 0.2  # of the words: a table, though its columns were read one after the other
_ROW_APART = 3.2  # usual row distances: farther rows are not of one table


@dataclass(frozen=True)
class Table:
    """Its place on the upright page, its cells, and the words in them."""

    area: Area
    cells: tuple[OcrCell, ...]
    words: tuple[Word, ...]


def find(
    words: Sequence[Word], lines: Sequence[Sequence[Word]], rulings: Rulings, areas: Sequence[Area] = ()
) -> list[Table]:
    """All tables. `lines`: the words by rows in reading order; `areas`: where a model sees tables."""
    height = text_height(words)
    found = [_ruled(one, words, height) for one in grid.find(rulings, height)]
    tables = _outermost([table for table in found if table is not None])
    for area in areas:
        if not any(table.area.shared(area) > 0.4 for table in tables):
            inside = _wider(area, words, areas, height) or [word for word in words if area.holds(word)]
            table = unruled(rows([w for w in inside if not _is_in(w, tables)]), height, rulings, least_rows=2)
            tables += [table] if table else []
    left = [word for word in words if not _is_in(word, tables)]
    for run in _runs(rows(left), height):
        table = unruled(run, height, rulings) if _is_numeric(run) and not _is_prose(run, height) else None
        tables += [table] if table else []
    rest = [[word for word in line if not _is_in(word, tables)] for line in lines]
    for run in _runs([line for line in rest if line], height):
        table = unruled(run, height, rulings)
        tables += [table] if table and not _is_prose(run, height) else []
    return tables


def _wider(area: Area, words: Sequence[Word], areas: Sequence[Area], height: float) -> list[Word]:
    """The words of a run of rows that reaches beyond the model's area, if that is the only one in it."""
    for run in _runs(rows(words), height):
        whole = around(word for line in run for word in line)
        alone = sum(whole.shared(other) > 0.5 for other in areas) == 1
        wider = _WIDER * area.width < whole.width < _WIDEST * area.width and whole.height < 1.2 * area.height
        if (
            alone
            and wider
            and whole.shared(area) > 0.7
            and _is_numeric(run)
            and not _is_beside_prose(area, run, height)
        ):
            return [word for line in run for word in line]
    return []


def _is_beside_prose(area: Area, run: Sequence[Sequence[Word]], height: float) -> bool:
    """Whether what lies beside the area is as wide as text, and no column."""
    groups = [around(group) for line in run for group in columns.segments(line)]
    return any(one.width > _PROSE * height and (one.center < area.left or one.center > area.right) for one in groups)


def _is_numeric(run: Sequence[Sequence[Word]]) -> bool:
    """Whether many words are numbers: a table, though its columns may have been read one after the other."""
    texts = [word.text for line in run for word in line]
    return sum(any(map(str.isdigit, text)) for text in texts) >= _NUMBERS * len(texts)


def _is_in(word: Word, tables: Iterable[Table]) -> bool:
    return any(table.area.holds(word) for table in tables)


def _outermost(tables: Sequence[Table]) -> list[Table]:
    """Without tables inside others."""
    kept: list[Table] = []
    for table in sorted(tables, key=lambda table: -table.area.width * table.area.height):
        if not any(other.area.shared(table.area) > 0.8 for other in kept):
            kept.append(table)
    return kept


# ---- ruled


def _ruled(lattice: Grid, words: Sequence[Word], height: float) -> Table | None:
    inside = [word for word in words if lattice.area.holds(word, 0.3 * height)]
    by_span = lattice.assign(inside)
    filled = sum(bool(found) for found in by_span.values())
    if filled < max(2, _MIN_FILLED * len(lattice.spans)):
        return None
    fine = refine.refine(lattice, by_span, height)
    if len(fine.xs) < 3 or len(fine.ys) < 3:
        return None
    cells = [cell for span in lattice.spans for cell in fine.cells(span, by_span[span])]
    return _table(lattice.area, cells, inside)


# ---- unruled


def _runs(lines: Sequence[Sequence[Word]], height: float) -> list[list[Sequence[Word]]]:
    """Stretches of rows with several groups of words each; a row of one group may stand between them."""
    found: list[list[Sequence[Word]]] = [[]]
    last_multiple = 0
    for line in lines:
        run = found[-1]
        multiple = len(columns.segments(line)) > 1
        if run and (_is_far(run[-1], line, height) or (not multiple and len(run) - last_multiple >= 2)):
            del run[_end(run, last_multiple, height) :]
            found.append([])
            run, last_multiple = found[-1], 0
        if multiple or run:
            run.append(line)
        last_multiple = len(run) if multiple else last_multiple
    del found[-1][_end(found[-1], last_multiple, height) :]
    return [run for run in found if len(run) >= _LEAST_ROWS]


def _end(run: Sequence[Sequence[Word]], last: int, height: float) -> int:
    """Where a run ends: with its last row of several groups, and the rest of a cell just below it."""
    if not 0 < last < len(run):
        return last
    step = around(run[last]).middle - around(run[last - 1]).middle
    return last + (step < _JUST_BELOW * height and run[last][0].text[:1].islower())


def _is_far(before: Sequence[Word], line: Sequence[Word], height: float) -> bool:
    """Not just below: farther down, or above, where the next column of a page begins."""
    step = around(line).middle - around(before).middle
    return step > _ROW_APART * height or step < 0


def _is_prose(run: Sequence[Sequence[Word]], height: float) -> bool:
    groups = [group for line in run for group in columns.segments(line)]
    widths = [around(group).width / height for group in groups]
    return bool(groups) and median(widths) > _PROSE


def unruled(
    lines: Sequence[Sequence[Word]], height: float, rulings: Rulings, least_rows: int = _LEAST_ROWS
) -> Table | None:
    """A table of these rows, if their gaps lie above each other."""
    wide = [line for line in lines if len(columns.segments(line, 0.8)) > 1]
    if len(wide) < least_rows:
        return None
    found = columns.gaps(_fullest(wide), height)
    cuts = _used([(a + b) / 2 for a, b in found], wide)
    lines = _trimmed(lines, cuts) if cuts else []
    if len(lines) < 2:
        return None
    merged = wrapped.join(columns.cells(lines, cuts), lines, height, rulings.horizontal)
    words = [word for line in lines for word in line]
    return _table(around(words), _complete(merged, len(cuts) + 1), words)


def _fullest(lines: Sequence[Sequence[Word]]) -> list[Sequence[Word]]:
    """Lines with most columns: titles and names of groups run over the gaps of others."""
    counts = [len(columns.segments(line, 0.8)) for line in lines]
    usual = sorted(counts)[(3 * len(counts)) // 4]
    full = [line for line, count in zip(lines, counts, strict=True) if count >= _FULLEST * usual]
    return full if len(full) >= max(_LEAST_ROWS, len(lines) // 2) else list(lines)


def _used(cuts: Sequence[float], lines: Sequence[Sequence[Word]]) -> list[float]:
    """Without cuts that leave a column with next to nothing."""
    kept: list[float] = []
    for cut in cuts:
        left = kept[-1] if kept else float("-inf")
        if sum(any(left < word.center < cut for word in line) for line in lines) >= min(2, len(lines)):
            kept.append(cut)
    while kept and sum(any(word.center > kept[-1] for word in line) for line in lines) < min(2, len(lines)):
        kept.pop()
    return kept


def _trimmed(lines: Sequence[Sequence[Word]], cuts: Sequence[float]) -> list[Sequence[Word]]:
    """Without titles and notes: lines at the top and bottom that run over columns, or stand alone at the top."""
    found = list(lines)
    while found and _is_title(columns.cells(found[:1], cuts), len(cuts) + 1, alone=1):
        del found[0]
    while found and _is_title(columns.cells(found[-1:], cuts), len(cuts) + 1, alone=0):
        del found[-1]
    return found


def _is_title(cells: Sequence[Cell], width: int, alone: int) -> bool:
    """One cell over most columns, or, if `alone`, in the first one."""
    span = cells[0].column_end - cells[0].column
    return len(cells) == 1 and (span >= max(2, 0.6 * width) or (cells[0].column == 0 and span <= alone))


def _complete(cells: Sequence[Cell], width: int) -> list[OcrCell]:
    """With the empty cells; what stands in one place is one cell."""
    height = max(cell.row + cell.row_span for cell in cells)
    covered = {
        (row, column)
        for cell in cells
        for row in range(cell.row + 1, cell.row + cell.row_span)
        for column in range(cell.column, cell.column_end)
    }
    found: list[OcrCell] = []
    for row in range(height):
        here = [cell for cell in cells if cell.row == row]
        spans = {cell.column: cell.row_span for cell in here}
        found += [
            OcrCell(row, start, text_of(words), spans.get(start, 1), end - start)
            for start, end, words in refine.filled(here, width)
            if (row, start) not in covered
        ]
    return found


def _table(area: Area, cells: Sequence[OcrCell], words: Sequence[Word]) -> Table:
    """With its first row, and those that cells of it reach into, as header."""
    first = [cell for cell in cells if cell.row == 0]
    head = max([cell.row_span for cell in first], default=1)
    if head == 1 and any(cell.column_span > 1 for cell in first):
        head = 2
    ordered = sorted(cells, key=lambda cell: (cell.row, cell.column))
    shown = tuple(OcrCell(c.row, c.column, c.text, c.row_span, c.column_span, c.row < head) for c in ordered)
    return Table(area, shown, tuple(words))
