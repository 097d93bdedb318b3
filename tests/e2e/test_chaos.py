"""A short storm in every run of the suite; `make chaos` is the long one."""

from __future__ import annotations

import subprocess
import sys

import pytest

from src.settings import ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.load]


@pytest.mark.timeout(300)
def test_a_short_storm() -> None:
    """Mixed traffic while everything is killed: each request one outcome, nothing left behind, still serving."""
    command = [sys.executable, "-m", "tests.chaos", "--seconds", "15"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ok (stream)" in done.stdout
