"""Blocks as Markdown and HTML: every block is there, cells keep their row and column, no text becomes page_markup."""

from __future__ import annotations

from src.api import page_markup
from src.ipc.messages.blocks import BlockType, OcrBlock, OcrCell
from src.ipc.messages.ocr import OcrResult, OcrTimings

BOX = (0.0, 0.0, 1.0, 1.0)
TABLE = OcrBlock(
    "table",
    BOX,
    cells=(
        OcrCell(0, 0, "Item", row_span=2, header=True),
        OcrCell(0, 1, "Price", column_span=2, header=True),
        OcrCell(1, 1, "net", header=True),
        OcrCell(1, 2, "a|b", header=True),
        OcrCell(2, 0, "Rope,\n12 mm"),
        OcrCell(2, 1),
        OcrCell(2, 2, "<9>"),
    ),
)


def block(kind: BlockType, text: str, level: int = 0) -> OcrBlock:
    return OcrBlock(kind, BOX, text, level)


def page(*blocks: OcrBlock, markdown: str | None = None) -> OcrResult:
    return OcrResult("fake", "plain", (), 9, 9, 0, 0.0, OcrTimings(0, 0, 0), markdown=markdown, blocks=blocks)


def test_a_table_keeps_its_empty_cells_and_columns() -> None:
    """GitHub's form has no spans: the cells that one covers are empty."""
    assert page_markup.table_markdown(TABLE).splitlines() == [
        "| Item | Price |  |",
        "| --- | --- | --- |",
        "|  | net | a\\|b |",
        "| Rope,<br>12 mm |  | <9> |",
    ]


def test_html_has_spans() -> None:
    assert page_markup.table_html(TABLE).splitlines() == [
        "<table>",
        '<tr><th rowspan="2">Item</th><th colspan="2">Price</th></tr>',
        "<tr><th>net</th><th>a|b</th></tr>",
        "<tr><td>Rope,<br>12 mm</td><td></td><td>&lt;9&gt;</td></tr>",
        "</table>",
    ]


def test_a_row_that_is_covered_by_spans_is_there() -> None:
    cells = (OcrCell(0, 0, "a", row_span=2), OcrCell(0, 1, "b", row_span=2), OcrCell(2, 0, "c"), OcrCell(2, 1, "d"))
    assert page_markup.table_html(OcrBlock("table", BOX, cells=cells)).count("<tr>") == 3


def test_headings_lists_and_text() -> None:
    """What looks like markup in a text is escaped; marks of lists become Markdown's."""
    blocks = (
        block("heading", "Annual\nreport", 2),
        block("text", "# 7 is a number\nand > is a sign\n> no quote"),
        block("list", "• one\n  – two\n3) three\na) four"),
    )
    assert page_markup.markdown(blocks).split("\n\n") == [
        "## Annual report",
        "\\# 7 is a number\nand > is a sign\n\\> no quote",
        "- one\n  - two\n3. three\n- a) four",
    ]


def test_check_boxes_are_tasks() -> None:
    boxes = block("list", "☐ oil\n☒ tar\n☑rope\n[ ] wire\n  [x] lamp\n[] paint")
    assert page_markup.markdown((boxes,)).splitlines() == [
        "- [ ] oil",
        "- [x] tar",
        "- [x] rope",
        "- [ ] wire",
        "  - [x] lamp",
        "- [ ] paint",
    ]


def test_running_heads_are_told_apart() -> None:
    whole = page(block("header", "Acme"), block("text", "body"), block("footer", "12"))
    assert (page_markup.running_text(whole, "header"), page_markup.running_text(whole, "footer")) == ("Acme", "12")
    assert page_markup.running_text(page(), "header") is None
    assert page_markup.markdown(whole.blocks, without=("header", "footer")) == "body"
    assert page_markup.page_markdown(whole) == "Acme\n\nbody\n\n12"


def test_what_stands_for_tables_and_figures() -> None:
    blocks = (TABLE, block("figure", ""), block("caption", "Fig. 1"))
    assert page_markup.markdown(blocks, table=lambda _: "[t]", figure=lambda _: "[f]") == "[t]\n\n[f]\n\nFig. 1"


def test_a_recognizers_own_markdown_wins_and_text_stands_in() -> None:
    assert page_markup.page_markdown(page(block("text", "a"), markdown="own")) == "own"
    assert (page_markup.page_markdown(page()), page_markup.page_html(page())) == ("plain", "<p>plain</p>")


def test_html_of_every_type() -> None:
    shown = page_markup.page_html(
        page(
            block("header", "Acme & Co"),
            block("heading", "One", 1),
            block("text", "a <b>\nc"),
            block("list", "• x\n2. y"),
            block("figure", ""),
            block("caption", "Fig. 1"),
            block("footer", "12"),
        )
    )
    assert shown.splitlines() == [
        "<header>Acme &amp; Co</header>",
        "<h1>One</h1>",
        "<p>a &lt;b&gt;<br>c</p>",
        "<ul>",
        "<li>x</li>",
        "<li>2. y</li>",
        "</ul>",
        "<figcaption>Fig. 1</figcaption>",
        "<footer>12</footer>",
    ]
