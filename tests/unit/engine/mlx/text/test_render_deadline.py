"""A chat template that loops is stopped; what ends in time is left alone."""

from __future__ import annotations

import time

import pytest

from src.engine.mlx.text.render_deadline import TemplateTooSlow, render_deadline


def test_what_ends_in_time_is_left_alone() -> None:
    """Nothing is raised later either."""
    with render_deadline(0.05):
        found = sum(range(10))
    time.sleep(0.1)
    assert found == 45


def _spin(until: float) -> None:
    with render_deadline(0.05):
        while time.monotonic() < until:
            pass


def test_a_loop_is_stopped() -> None:
    """Within about its time."""
    began = time.monotonic()
    with pytest.raises(TemplateTooSlow):
        _spin(began + 5)
    assert time.monotonic() - began < 5
