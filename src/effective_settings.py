"""Every setting as operators see it: value, source and help, secrets masked. For `run.py config` and the supervisor."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from src import settings as configuration
from src.settings import Settings

_SECRET = ("key", "token", "secret", "password")


class EffectiveSetting(msgspec.Struct, frozen=True):
    """One setting. `source`: `environment`, `.env` or `default`; a secret's `value` is masked."""

    name: str
    source: str
    value: str
    help: str


def effective(settings: Settings) -> tuple[EffectiveSetting, ...]:
    return tuple(
        EffectiveSetting(
            name.upper(), configuration.source_of(name), masked(name, getattr(settings, name)), field.description or ""
        )
        for group in configuration.GROUPS
        for name, field in group.model_fields.items()
    )


def masked(name: str, value: object) -> str:
    """A setting's value for display. Numbers (`DEFAULT_MAX_TOKENS`) are not secret; a URL may contain a password."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, Path):
        return str(value)
    if str(value) and any(word in name.lower() for word in _SECRET):
        return "********"
    return re.sub(r"://[^/@\s]*@", "://********@", str(value))
