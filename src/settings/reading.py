"""Reading the configuration, with all problems at once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from src.settings.configuration import Settings, is_secret
from src.settings.places import home
from src.settings.shares import names_for, own_kind


class SettingsError(Exception):
    """All problems of a configuration, one line each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def load(env_file: Path | None = None) -> Settings:
    """Read environment and `.env`.

    Raises:
        SettingsError: with every problem, one line each.
    """
    process = own_kind()
    try:
        if process in ("engine", "ocr"):  # what they may have stands in their environment
            return Settings(_env_file=None)
        settings = Settings(_env_file=env_file) if env_file else Settings()
    except ValidationError as error:
        raise SettingsError([_problem(dict(item)) for item in error.errors()]) from None
    if process is None:
        return settings
    withheld = Settings.model_fields.keys() - names_for(process)
    return settings.model_copy(update={name: Settings.model_fields[name].default for name in withheld})


def _problem(item: dict[str, Any]) -> str:
    name = str(item["loc"][0]).upper() if item["loc"] else "settings"
    if item["type"] == "extra_forbidden":
        return f"{name}: no such setting (in .env)"
    got = "" if is_secret(name) else f" (got {item['input']!r})"
    return f"{name}: {item['msg'][0].lower()}{item['msg'][1:]}{got}"


def source_of(name: str, env_file: Path | None = None) -> str:
    """Where a setting's value comes from: `environment`, `.env` or `default`."""
    from dotenv import dotenv_values  # noqa: PLC0415  # only `run.py config` asks

    if any(key.lower() == name and value for key, value in os.environ.items()):
        return "environment"
    file = dotenv_values(env_file or home() / ".env")
    return ".env" if any(key.lower() == name and value for key, value in file.items()) else "default"


def adopt(values: dict[str, str]) -> None:
    """Set the environment of a service's unit, for a command that acts on it; `load` reads it."""
    os.environ.update(values)
    if "STOKER_HOME" in values:
        Settings.model_config["env_file"] = home() / ".env"
