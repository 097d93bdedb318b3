"""The short soak: mixed work leaks nothing that a quarter of a minute can show; `make soak` is the long one."""

from __future__ import annotations

import pytest

from tests.running import service
from tests.soak import slope, soak

pytestmark = pytest.mark.e2e


def test_slopes_are_per_second() -> None:
    """A line's slope is found behind a beginning that is left out."""
    assert slope([(0, 500), (1, 10), (2, 20), (3, 30)]) == 10
    assert slope([(0, 5)]) == 0


def test_a_little_mixed_work() -> None:
    """Chat, streams, clients that leave, pages, wrong requests: no error, no restart, no file left open."""
    with service() as running:
        result = soak(running, 15)
    print(result.table())
    assert sum(result.errors.values()) == 0, result.table()
    assert result.restarts == 0
    assert all(count > 3 for count in result.requests.values()), result.table()
    tail = [count for _, count in result.files[len(result.files) // 3 :]]
    assert max(tail) - min(tail) < 40, result.table()
    assert result.memory[-1][1] - result.memory[len(result.memory) // 3][1] < 150 << 20, result.table()
