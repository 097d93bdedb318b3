"""Which settings each kind of process has, and the environment it is started with."""

from __future__ import annotations

import os
from typing import Literal

from pydantic import AliasChoices

from src.settings.configuration import Settings, is_secret
from src.settings.engine import EngineSettings
from src.settings.env_example import shown
from src.settings.logs import LogSettings
from src.settings.models import ModelSettings
from src.settings.ocr import OcrSettings
from src.settings.places import home
from src.settings.supervisor import SupervisorSettings

PROCESS = "STOKER_PROCESS"  # the kind of process the supervisor started: `load` gives it its groups alone

ProcessKind = Literal["web", "engine", "ocr"]
_BACK_END = (EngineSettings, ModelSettings, OcrSettings, LogSettings, SupervisorSettings)
_COMMAND_LINE_KEYS = frozenset({"stoker_api_key", "bench_api_keys"})
# not settings of ours, but keys all the same; engine and OCR fetch nothing and know no client
_FOREIGN_KEYS = frozenset({"CREDENTIALS_DIRECTORY", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "MODELSCOPE_API_TOKEN"}) | {
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
}


def names_for(kind: ProcessKind) -> frozenset[str]:
    """The settings a kind of process has. Who parses hostile files holds no key and no URL of a store."""
    if kind == "web":
        return frozenset(Settings.model_fields) - {"upstream_api_key"} - _COMMAND_LINE_KEYS
    names = frozenset(name for group in _BACK_END for name in group.model_fields) | {"debug"}
    return names if kind == "engine" else names - {"upstream_url", "upstream_api_key"}


def process_environment(kind: ProcessKind, settings: Settings, **changes: str) -> dict[str, str]:
    """The environment for a process of the service: the settings of its groups alone.

    Web reads `.env` itself, again at each reload. The others never do: what is set is handed to them.
    """
    ours, allowed, inherited = _setting_names(), names_for(kind), child_environment()
    if kind == "web":
        kept = {key: value for key, value in inherited.items() if ours.get(key.lower(), "debug") in allowed}
        return kept | {PROCESS: kind} | changes
    kept = {key: value for key, value in inherited.items() if key.lower() not in ours and key not in _FOREIGN_KEYS}
    return kept | _handed(settings, allowed) | {PROCESS: kind} | changes


def _handed(settings: Settings, names: frozenset[str]) -> dict[str, str]:
    return {name.upper(): shown(getattr(settings, name)) for name in settings.model_fields_set & names}


def rank_environment(settings: Settings) -> dict[str, str]:
    """The settings of an engine that another rank of its model is told, which may be on another machine."""
    names = frozenset(name for name in names_for("engine") if not is_secret(name))
    return _handed(settings, names) | {PROCESS: "engine"}


def _setting_names() -> dict[str, str]:
    """Each name that a setting may have in the environment, and the setting."""
    aliases = {
        str(alias): name
        for name, field in Settings.model_fields.items()
        if isinstance(field.validation_alias, AliasChoices)
        for alias in field.validation_alias.choices
    }
    return {name: name for name in Settings.model_fields} | aliases


def own_kind() -> ProcessKind | None:
    """What the supervisor started this process as."""
    kinds: tuple[ProcessKind, ...] = ("web", "engine", "ocr")
    return next((kind for kind in kinds if os.environ.get(PROCESS) == kind), None)


def foreign_environment(**changes: str) -> dict[str, str]:
    """The environment for a program that is not ours: without our settings, which it may know under the same names."""
    ours = {name.upper() for name in Settings.model_fields}
    return {key: value for key, value in child_environment().items() if key.upper() not in ours} | changes


def child_environment(**changes: str) -> dict[str, str]:
    """The environment for a process we start: ours, without what belongs to this process alone (systemd's sockets).

    It starts in another folder, where a relative STOKER_HOME would be another.
    """
    hidden = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID")
    kept = {key: value for key, value in os.environ.items() if key not in hidden}
    if "STOKER_HOME" in kept:
        kept["STOKER_HOME"] = str(home())
    return kept | changes
