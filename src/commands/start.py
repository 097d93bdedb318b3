"""`run.py --mode …`: runs the supervisor in this process."""

from __future__ import annotations

from src import keys
from src.commands.asking import print_problems
from src.errors import ExitCode
from src.settings import Settings, SettingsError
from src.supervisor import main as supervisor

_DEV_GRACE_S = 1.0  # a reload in dev mode does not wait for open streams


def start(mode: str, settings: Settings, lifeline: int | None = None) -> ExitCode:
    """Check that exposure is allowed, then run the supervisor."""
    try:
        exposed = keys.exposure(settings.host, settings) if mode != "backends" else None
    except SettingsError as error:
        return print_problems(error.problems)
    if exposed:
        return print_problems([exposed])
    if mode == "dev":
        settings = settings.model_copy(update={"debug": True, "graceful_timeout": _DEV_GRACE_S})
    return supervisor.run(settings, with_web=mode != "backends", reload=mode == "dev", lifeline=lifeline)
