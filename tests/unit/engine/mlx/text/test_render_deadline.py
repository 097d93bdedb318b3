"""A chat template that loops is stopped; what ends in time is left alone."""

from __future__ import annotations

import subprocess
import sys
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


def test_what_ends_at_the_very_moment_is_stopped_or_left_alone() -> None:
    """Never raised outside the block."""
    for _ in range(200):
        try:
            with render_deadline(0.002):
                end = time.monotonic() + 0.002
                while time.monotonic() < end:
                    pass
        except TemplateTooSlow:
            pass
        for _ in range(100):
            time.monotonic()


def test_a_profiler_works_afterwards() -> None:
    """In a process of its own: once it never ended on Python 3.11."""
    code = """
import sys
from src.engine.mlx.text.render_deadline import render_deadline
with render_deadline(5):
    pass
sys.setprofile(lambda *_: None)
(lambda: None)()
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)
