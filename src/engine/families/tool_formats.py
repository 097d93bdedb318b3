"""How calls are written, format by format, by name. Data only; `table` says which family writes which."""

from __future__ import annotations

from src.engine.families import json_formats, tagged_formats

TOOLS = {each.name: each for each in (*json_formats.FORMATS, *tagged_formats.FORMATS)}
