"""The measure of tables: what it costs to make one of the other."""

from __future__ import annotations

import pytest

from tests.bench.structure_pages import DrawnCell
from tests.bench.table_similarity import similarity

TABLE = [DrawnCell(row, column, f"{row}{column}") for row in range(2) for column in range(3)]


@pytest.mark.parametrize(
    ("got", "wanted"),
    [
        (TABLE, 1.0),
        ([], 0.0),
        ([*TABLE[:5], DrawnCell(1, 2, "xy")], 1 - 1 / 8),
        ([*TABLE[:5], DrawnCell(1, 2, "12", column_span=2)], 1 - 1 / 8),
        (TABLE[:5], 1 - 1 / 8),
        (TABLE[3:], 1 - 4 / 8),
    ],
)
def test_every_node_that_differs_costs_its_share(got: list[DrawnCell], wanted: float) -> None:
    """Of a table's eight rows and cells: another text, another span, a lost cell, a lost row."""
    assert similarity(TABLE, got) == pytest.approx(wanted)
