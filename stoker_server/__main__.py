"""The command `stoker` of an installed package, and `python -m stoker_server`: runs `_app/run.py`.

The tree is put on the import path of this process alone, so that no other program meets its top-level package `src`.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

_APP = Path(__file__).resolve().parent / "_app"


def main() -> None:
    sys.path.insert(0, str(_APP))
    runpy.run_path(str(_APP / "run.py"), run_name="__main__")


if __name__ == "__main__":
    main()
