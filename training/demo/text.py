"""Reads the files of `text/`, which hold every phrase the demo model is taught: lines in sections under `[names]`."""

from __future__ import annotations

import functools
from pathlib import Path

FOLDER = Path(__file__).parent / "text"
LANGUAGES = ("en", "zh")


@functools.cache
def sections(name: str) -> dict[str, tuple[str, ...]]:
    """The sections of a file and their lines, in the file's order; a line that begins with `#` is a remark."""
    found: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in map(str.strip, (FOLDER / f"{name}.txt").read_text(encoding="utf-8").splitlines()):
        if line.startswith("["):
            lines = found.setdefault(line[1:-1], [])
        elif line and not line.startswith("#"):
            lines.append(line)
    return {section: tuple(lines) for section, lines in found.items()}


def words(name: str, section: str) -> list[str]:
    """The words of a section."""
    return " ".join(sections(name)[section]).split()
