"""Layouts whose reading order is known: columns with titles, sidebars, tables, lists, forms."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from tests.bench.ocr_sheets import LEFT, RIGHT, TOP, Sheet, SheetWriter

_WIDTH = RIGHT - LEFT


def all_sheets() -> list[Sheet]:
    return [_sheet(name, make, seed) for name, make, count in _KINDS for seed in range(count)]


def sheet(name: str, seed: int = 0) -> Sheet:
    """One of this kind."""
    return next(_sheet(kind, make, seed) for kind, make, _ in _KINDS if kind == name)


def _sheet(name: str, make: Callable[[SheetWriter], object], seed: int) -> Sheet:
    writer = SheetWriter(seed)
    make(writer)
    return Sheet(f"{name} {seed + 1}", tuple(writer.lines))


def _title_over(w: SheetWriter, count: int, words: int, align: str = "centre", lines: int = 1) -> None:
    y: float = TOP
    for _ in range(lines):
        y = w.title(words, y, x={"left": LEFT, "centre": 620, "right": RIGHT}[align], align=align)
    w.columns(count, y + 20, 24, uneven=True)


def _title_between(w: SheetWriter, count: int, words: int) -> None:
    y = w.columns(count, w.title(3, TOP), 11)
    y = w.title(words, y + 24, 36)
    w.columns(count, y, 13)


def _strays_below(w: SheetWriter, count: int) -> None:
    y = w.columns(count, TOP, 22, uneven=True)
    w.prose(LEFT, y + 40, _WIDTH - 20, 2, 18)
    w.line("- 17 -", 620, 1660, 20, align="centre")


def _running_heads(w: SheetWriter, count: int) -> None:
    w.line("Volume 12", LEFT, 60, 18)
    w.line("The Harbour Gazette", 620, 60, 18, align="centre")
    w.line("Page 41", RIGHT, 60, 18, align="right")
    w.columns(count, 150, 24, paragraph=7)
    w.line("Printed in Westport", LEFT, 1660, 18)
    w.line("12 June 1926", RIGHT, 1660, 18, align="right")


def _sidebar(w: SheetWriter, *, right: bool) -> None:
    y = w.title(4, TOP)

    def main() -> None:
        w.prose(LEFT if right else LEFT + 340, y, 700, 26, paragraph=6)

    def side() -> None:
        at = y + 11
        for _ in range(9):
            at = w.line(w.text(2), LEFT + 750 if right else LEFT, at, 20) + 9

    for part in (main, side) if right else (side, main):
        part()


def _table_beside_bullets(w: SheetWriter) -> None:
    y = w.title(4, TOP)
    w.table([LEFT, LEFT + 210, LEFT + 340], y, 9)
    w.bullets(LEFT + 540, y + 9, 500, 9)


def _bullets_beside_table(w: SheetWriter) -> None:
    y = w.title(4, TOP)
    w.bullets(LEFT, y + 9, 480, 9)
    w.table([LEFT + 570, LEFT + 790, LEFT + 920], y, 9)


def _table_over_columns(w: SheetWriter) -> None:
    y = w.table([LEFT, 500, 700, 900], w.title(4, TOP), 7)
    w.columns(2, y + 30, 16)


def _table_under_columns(w: SheetWriter) -> None:
    y = w.columns(2, w.title(4, TOP), 16)
    w.table([LEFT, 500, 700, 900], y + 30, 7)


def _table_in_a_column(w: SheetWriter) -> None:
    y = w.prose(LEFT, TOP, 500, 10)
    y = w.table([LEFT, LEFT + 230, LEFT + 380], y + 15, 5)
    w.prose(LEFT, y + 15, 500, 10)
    w.prose(LEFT + 560, TOP, 500, 27, paragraph=8)


def _abstract(w: SheetWriter) -> None:
    y = w.title(5, TOP, 38)
    y = w.line(w.text(4), 620, y, 24, align="centre") + 20
    y = w.prose(LEFT + 80, y, _WIDTH - 160, 8) + 30
    w.columns(2, y, 20, gap=34)


def _two_then_three(w: SheetWriter) -> None:
    y = w.columns(2, w.title(4, TOP), 10) + 26
    w.columns(3, w.title(5, y, 34), 14)


def _caption(w: SheetWriter) -> None:
    y = w.columns(2, TOP, 8)
    y = w.line("Figure 3. " + w.text(3), 620, y + 260, 18, align="centre") + 20
    w.columns(2, y, 12)


def _quotation(w: SheetWriter) -> None:
    y = w.columns(2, TOP, 9)
    for _ in range(2):
        y = w.line(w.text(4), 620, y + 20, 32, align="centre")
    w.columns(2, y + 30, 11)


def _spanning_title(w: SheetWriter) -> None:
    width = (_WIDTH - 92) / 3
    w.prose(LEFT, TOP, width, 26)
    y = w.line(w.text(4), LEFT + width + 46, TOP, 40) + 20
    for at in (1, 2):
        w.prose(LEFT + at * (width + 46), y, width, 20)


def _headings_in_columns(w: SheetWriter) -> None:
    for x in (LEFT, LEFT + 560):
        y: float = TOP
        for count in (7, w.dice.randint(5, 9), 6):
            y = w.line(w.text(2), x, y, 30) + 6
            y = w.prose(x, y, 500, count) + 24


def _letter(w: SheetWriter) -> None:
    y: float = TOP
    for words in (2, 2, 1):
        y = w.line(w.text(words), RIGHT, y, align="right")
    y = w.line("12 June 2026", LEFT, y + 40)
    y = w.prose(LEFT, y + 30, _WIDTH, 14, paragraph=5)
    w.line(w.text(2), LEFT, y + 40)


def _form(w: SheetWriter) -> None:
    y = w.title(2, TOP, x=LEFT, align="left")
    for _ in range(16):
        w.line(w.text(1) + ":", LEFT, y)
        w.line(w.text(w.dice.randint(1, 3)), LEFT + 330, y)
        y += 44


def _glossary(w: SheetWriter) -> None:
    """Labels beside texts of several lines, which begin at their labels' height."""
    y = w.title(3, TOP, x=LEFT, align="left")
    for _ in range(7):
        w.line(w.text(1), LEFT, y)
        y = w.prose(LEFT + 260, y, 740, w.dice.randint(2, 4)) + 16


def _table(w: SheetWriter, cells: int) -> None:
    w.table([LEFT + at * _WIDTH / cells for at in range(cells)], w.title(3, TOP), 20)


def _tables_and_prose(w: SheetWriter) -> None:
    y = w.table([LEFT, 500, 800], TOP, 8)
    y = w.prose(LEFT, y + 20, _WIDTH, 5)
    w.table([LEFT, 400, 640, 900], y + 20, 8)


def _plain(w: SheetWriter) -> None:
    w.prose(LEFT, w.title(3, TOP), _WIDTH, 28, paragraph=6)


def _staggered(w: SheetWriter) -> None:
    """The right column begins lower and has other leading."""
    w.prose(LEFT, TOP, 500, 30)
    w.prose(LEFT + 560, TOP + 173, 500, 20, 20)


_KINDS: tuple[tuple[str, Callable[[SheetWriter], object], int], ...] = (
    ("short title at the left over 2 columns", partial(_title_over, count=2, words=3, align="left", lines=2), 3),
    ("short title at the right over 2 columns", partial(_title_over, count=2, words=2, align="right"), 1),
    ("centred title over 2 columns", partial(_title_over, count=2, words=3), 3),
    ("wide title over 2 columns", partial(_title_over, count=2, words=5), 2),
    ("title over 3 columns", partial(_title_over, count=3, words=4), 2),
    ("short title over 3 columns", partial(_title_over, count=3, words=2), 2),
    ("title over 4 columns", partial(_title_over, count=4, words=3), 2),
    ("title between 2 columns", partial(_title_between, count=2, words=3), 3),
    ("title between 3 columns", partial(_title_between, count=3, words=4), 2),
    ("footnote and page number below 2 columns", partial(_strays_below, count=2), 3),
    ("footnote and page number below 3 columns", partial(_strays_below, count=3), 2),
    ("running heads over 2 columns", partial(_running_heads, count=2), 2),
    ("running heads over 3 columns", partial(_running_heads, count=3), 2),
    ("sidebar at the right", partial(_sidebar, right=True), 3),
    ("sidebar at the left", partial(_sidebar, right=False), 2),
    ("table beside bullets", _table_beside_bullets, 3),
    ("bullets beside a table", _bullets_beside_table, 3),
    ("table over columns", _table_over_columns, 2),
    ("table under columns", _table_under_columns, 2),
    ("table in a column", _table_in_a_column, 2),
    ("abstract over 2 columns", _abstract, 2),
    ("2 columns, a heading, 3 columns", _two_then_three, 2),
    ("caption between columns", _caption, 2),
    ("quotation between columns", _quotation, 2),
    ("title over 2 of 3 columns", _spanning_title, 2),
    ("headings in columns", _headings_in_columns, 2),
    ("letter", _letter, 1),
    ("form", _form, 2),
    ("glossary", _glossary, 2),
    ("table of 4 columns", partial(_table, cells=4), 1),
    ("table of 6 columns", partial(_table, cells=6), 1),
    ("tables and prose", _tables_and_prose, 1),
    ("plain page", _plain, 1),
    ("staggered columns", _staggered, 2),
)
