"""The layout model: its file is in the wheel, and it sees the table and the title of a drawn page."""

from __future__ import annotations

import numpy as np

from src.ocr.structure import layout_model
from src.ocr.structure.layout_model import LayoutModel
from src.ocr.structure.words import Area
from tests.bench import structure_pages


def test_the_model_is_in_the_wheel_and_sees_a_table() -> None:
    """Its regions are in the pixels of the page that it is given."""
    path = layout_model.model_path()
    assert path is not None
    page = structure_pages.page("ruled", 8)
    image = np.ascontiguousarray(np.asarray(page.image().convert("RGB"))[:, :, ::-1])
    regions = LayoutModel(path).regions(image)
    tables = [region.area for region in regions if region.kind == "table"]
    xs, ys = [line[0] for line in page.lines], [line[1] for line in page.lines]
    drawn = Area(min(xs), min(ys), max(xs), max(ys))
    assert any(drawn.shared(area) > 0.85 for area in tables)
    assert [region.score for region in regions] == sorted((region.score for region in regions), reverse=True)
