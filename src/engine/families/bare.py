"""Calls that no mark announces: what an answer that is one begins with, and what may still become one. Pure."""

from __future__ import annotations

import re

from src.engine.families.formats import Bare


def _growing(*parts: str) -> str:
    """The beginnings of these patterns, one behind the other."""
    pattern = ""
    for part in reversed(parts):
        pattern = f"(?:{part}{pattern})?"
    return pattern


_NAME = ('"', *"name", '"', r"\s*", ":", r"\s*", '"', r"[\w.:/-]*", '"', r"\s*", ",", r"\s*", '"', r"\w*", '"')
_TYPE = ('"', *"type", '"', r"\s*", ":", r"\s*", '"', *"function", '"', r"\s*", ",", r"\s*")
_FUNCTOOLS = (*"functools", r"\s*", r"\[", r"\s*")
JSON = Bare(
    re.compile(
        r'\s*\[?\s*\{\s*(?:"type"\s*:\s*"function"\s*,\s*)?"name"\s*:\s*"[\w.:/-]+"\s*,\s*"(?:parameters|arguments)"'
    ),
    re.compile(rf"\s*\[?\s*(?:\{{\s*(?:{_growing(*_NAME)}|{_growing(*_TYPE, *_NAME)}))?"),
)
PYTHON = Bare(re.compile(r"\s*\[\s*[A-Za-z_][\w.-]*\("), re.compile(r"\s*(?:\[\s*(?:[A-Za-z_][\w.-]*)?)?"))
FUNCTOOLS = Bare(re.compile(r"\s*functools\s*\[\s*\{"), re.compile(r"\s*" + _growing(*_FUNCTOOLS)))
GLM4 = Bare(re.compile(r"\s*[\w.-]+\n\s*\{"), re.compile(r"\s*[\w.-]*(?:\n\s*)?"))
