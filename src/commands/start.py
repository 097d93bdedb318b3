"""`run.py --mode …`: becomes the supervisor."""

from __future__ import annotations

from src import keys
from src.commands.asking import refuse
from src.errors import ExitCode
from src.settings import Settings, SettingsError
from src.supervisor import main as supervisor

_DEV_GRACE_S = 1.0  # a developer who saves a file does not wait for open streams


def start(mode: str, settings: Settings, lifeline: int | None = None) -> ExitCode:
    """Become the supervisor."""
    try:
        exposed = keys.exposure(settings.host, settings) if mode != "backends" else None
    except SettingsError as error:
        return refuse(error.problems)
    if exposed:
        return refuse([exposed])
    if mode == "dev":
        settings = settings.model_copy(update={"debug": True, "graceful_timeout": _DEV_GRACE_S})
    return supervisor.run(settings, with_web=mode != "backends", reload=mode == "dev", lifeline=lifeline)
