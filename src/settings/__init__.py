"""Every setting, typed and bounded; this package alone reads the environment.

Order: environment > `.env` > default. A function takes the group it needs, `EngineSettings` for example. `load()` lists
all problems at once; `.env.example` and docs/settings.md are generated from the groups.
"""

from __future__ import annotations

import os

from src.settings.configuration import GROUPS, Settings, is_secret
from src.settings.engine import EngineSettings
from src.settings.env_example import example
from src.settings.files import FileSettings
from src.settings.formats import ReasoningFormat, ToolFormat
from src.settings.logs import LogSettings
from src.settings.models import ModelSettings
from src.settings.ocr import OcrSettings
from src.settings.places import ROOT, SHIPPED_MODELS, home, service_directories
from src.settings.reading import SettingsError, adopt, load, source_of
from src.settings.security import SecuritySettings
from src.settings.shares import (
    PROCESS,
    ProcessKind,
    child_environment,
    foreign_environment,
    process_environment,
    rank_environment,
)
from src.settings.supervisor import SupervisorSettings
from src.settings.surroundings import (
    SUPERVISED,
    WEB_FD,
    cuda_visible_devices,
    gevent_environment,
    listen_fd,
    notify_socket,
    supervised,
    web_fd,
    work_offline,
)
from src.settings.web import WebSettings

__all__ = [
    "GROUPS",
    "PROCESS",
    "ROOT",
    "SHIPPED_MODELS",
    "SUPERVISED",
    "VERSION",
    "WEB_FD",
    "EngineSettings",
    "FileSettings",
    "LogSettings",
    "ModelSettings",
    "OcrSettings",
    "ProcessKind",
    "ReasoningFormat",
    "SecuritySettings",
    "Settings",
    "SettingsError",
    "SupervisorSettings",
    "ToolFormat",
    "WebSettings",
    "adopt",
    "child_environment",
    "cuda_visible_devices",
    "example",
    "foreign_environment",
    "gevent_environment",
    "home",
    "is_secret",
    "listen_fd",
    "load",
    "notify_socket",
    "process_environment",
    "rank_environment",
    "service_directories",
    "source_of",
    "supervised",
    "web_fd",
    "work_offline",
]

VERSION = "0.1.0"

# onnxruntime (from 1.29) tells Microsoft of processes, sessions and models, and keeps an id of the machine in ~/.cache.
# It reads this when it is imported, in whichever process that is; an operator's own value stays.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
