"""The `limit` of a listing."""

from __future__ import annotations

import pytest

from src.api.page_size import page_size
from src.errors import InvalidRequest


@pytest.mark.parametrize(("limit", "size"), [(None, 20), ("1", 1), ("007", 7), ("100", 100)])
def test_a_limit_is_read(limit: str | None, size: int) -> None:
    """Without one, the default."""
    assert page_size(limit, 20, 100) == size


@pytest.mark.parametrize("limit", ["", "0", "101", "-1", "1.5", "x", "²", "0000000019", "0000000010000", "1" * 5000])
def test_a_limit_out_of_bounds_is_refused(limit: str) -> None:
    """What is checked is what is used, however many digits it has."""
    with pytest.raises(InvalidRequest, match="from 1 to 100"):
        page_size(limit, 20, 100)
