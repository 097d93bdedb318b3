"""The whole configuration: all groups in one object."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from pydantic import BaseModel
from pydantic_settings import BaseSettings, SettingsConfigDict

from src.settings.engine import EngineSettings
from src.settings.files import FileSettings
from src.settings.logs import LogSettings
from src.settings.models import ModelSettings
from src.settings.ocr import OcrSettings
from src.settings.places import home
from src.settings.security import SecuritySettings
from src.settings.supervisor import SupervisorSettings
from src.settings.web import WebSettings


class Settings(
    WebSettings,
    EngineSettings,
    ModelSettings,
    OcrSettings,
    FileSettings,
    LogSettings,
    SupervisorSettings,
    SecuritySettings,
    BaseSettings,
):
    """The whole configuration. Frozen: a change needs a restart of the process that reads it."""

    model_config = SettingsConfigDict(
        env_file=home() / ".env",
        env_file_encoding="utf-8",
        extra="forbid",
        frozen=True,
        env_ignore_empty=True,
        populate_by_name=True,
    )

    @property
    def level(self) -> str:
        return "DEBUG" if self.debug else self.log_level

    @property
    def log_path(self) -> Path:
        return home() / self.log_dir

    @property
    def models_path(self) -> Path:
        return home() / self.models_dir

    @property
    def prefix_cache_path(self) -> Path | None:
        return home() / self.prefix_cache_dir if self.prefix_cache_dir is not None else None

    @property
    def runtime_path(self) -> Path:
        """Short on purpose: macOS allows 104 bytes for a socket's path."""
        if self.runtime_dir is not None:
            return home() / self.runtime_dir
        digest = hashlib.sha256(str(home()).encode()).hexdigest()[:8]
        return Path("/tmp") / f"stoker-{os.getuid()}-{digest}"  # noqa: S108  # made 0700 and its owner checked

    @property
    def stop_seconds(self) -> float:
        """How long a stop may take: the notice, running requests, then OCR and the engines."""
        return self.drain_notice + self.graceful_timeout + 2 * self.stop_timeout

    @property
    def state_path(self) -> Path:
        """Instances with one home differ in RUNTIME_DIR, and share no jobs."""
        return home() / (self.state_dir or self.runtime_dir or "state")


GROUPS: tuple[type[BaseModel], ...] = (
    *(WebSettings, EngineSettings, ModelSettings, OcrSettings, FileSettings),
    *(LogSettings, SupervisorSettings, SecuritySettings),
)


def is_secret(name: str) -> bool:
    """Whether a setting's value must not be shown; a URL may hold a password."""
    return name.lower() in (
        "api_keys",
        "redis_url",
        "stoker_api_key",
        "bench_api_keys",
        "upstream_url",
        "upstream_api_key",
    )
