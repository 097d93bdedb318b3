"""The text of `.env.example`."""

from __future__ import annotations

from typing import Any, Literal

from src.settings.configuration import GROUPS


def example() -> str:
    """The text of `.env.example`: every setting with its help and default."""
    lines = ["# Every setting of Stoker with its default. Copy to .env and change what you need.", ""]
    for group in GROUPS:
        lines.append(f"# ---- {group.__doc__}")
        for name, field in group.model_fields.items():
            lines += [
                f"# {field.description}{_choices(field.annotation)}",
                f"{name.upper()}={shown(field.default)}",
                "",
            ]
    return "\n".join(lines).rstrip() + "\n"


def shown(value: object) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _choices(annotation: Any) -> str:
    values = getattr(annotation, "__args__", ()) if getattr(annotation, "__origin__", None) is Literal else ()
    return f" One of: {', '.join(map(str, values))}." if len(values) > 1 else ""
