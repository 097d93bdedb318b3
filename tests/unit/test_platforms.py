"""`make platforms` asks the index; what it reads from wheels is held to a small one here."""

from __future__ import annotations

import zipfile
from pathlib import Path

from src.settings import ROOT
from tests.platforms import names
from tests.platforms.resolve import targets

FILES = {
    "mlx/core/__init__.pyi": "from mlx.core import fast as fast\nclass array: ...\ndef eval(*a): ...\n"
    "float32: Dtype = ...\n",
    "mlx/core/fast.pyi": "def rope(x): ...\n",
    "mlx/nn/__init__.py": "from .layers import *\nif True:\n    from .losses import cross_entropy\n",
    "mlx/nn/layers.py": "from __future__ import annotations\nclass Linear:\n    def inside(self): ...\n",
    "mlx_lm/utils.py": "try:\n    LIMIT = 1\nexcept Exception:\n    pass\n",
}
SOURCE = """
import mlx.core as mx
from mlx import nn
from mlx_lm.utils import LIMIT, gone
mx.eval(mx.fast.rope(mx.array([1]).at[0]), mx.float32)
mx.fast.absent(), mx.absent, nn.Linear.anything, nn.cross_entropy, nn.inside
mlx_lm = 1
"""


def test_names_are_looked_up_in_a_wheels_text(tmp_path: Path) -> None:
    """Submodules, star imports, assignments; attributes of classes are not followed."""
    with zipfile.ZipFile(tmp_path / "one.whl", "w") as wheel:
        for name, text in FILES.items():
            wheel.writestr(name, text)
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "one.py").write_text(SOURCE)
    found = names.missing(names.Wheels([tmp_path / "one.whl"]), tmp_path / "src")
    absent = ["mlx.core.absent", "mlx.core.fast.absent", "mlx.nn.inside", "mlx_lm.utils.gone"]
    assert sorted(found) == [("src/one.py", name) for name in absent]


def test_the_names_of_the_engine_are_among_those_that_are_looked_up() -> None:
    """A change of how they are imported must not leave the check with nothing to do."""
    found = {name for _, name in names.used(ROOT / "src" / "engine")}
    assert {"mlx.core.array", "mlx.core.eval", "mlx.nn.Module"} <= found
    assert len(found) > 80


def test_every_platform_of_the_documentation_is_asked_for() -> None:
    """27: three Pythons of macOS, four of both Linux machines for each of the three files."""
    assert len(list(targets())) == 3 + 2 * 4 * 3
