"""docs/gpu.md: its example runs, and prints what it says."""

from __future__ import annotations

import re
import subprocess
import sys

from src.settings import ROOT


def test_the_example_runs() -> None:
    """A program of its own that imports nothing but the library, and neither framework."""
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "gpu.md").read_text(encoding="utf-8"), re.DOTALL)
    code += "import sys\nprint({'mlx', 'torch'} & set(sys.modules))\n"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        *("Weights gpu", "offloaded", "['my-model']", "back", "True", "['my-model']"),
        "set()",
    ]
