"""Keeps generated text in step with the code: the README's table of settings.

`python -m tests.docs --write` writes it (`make example`); `tests/unit/test_docs.py` fails when it is stale.
"""

from __future__ import annotations

import re
import sys

from src.settings import ROOT, markdown

README = ROOT / "README.md"
_BLOCK = re.compile(r"(<!-- settings -->\n).*?(<!-- /settings -->)", re.DOTALL)


def with_settings(text: str) -> str:
    """The README with the table of settings as the code has it now."""
    return _BLOCK.sub(lambda match: f"{match[1]}{markdown()}{match[2]}", text)


if __name__ == "__main__" and "--write" in sys.argv:
    README.write_text(with_settings(README.read_text(encoding="utf-8")), encoding="utf-8")
