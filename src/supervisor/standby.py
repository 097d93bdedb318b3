"""The standby that replaces a process due for recycling: it listens beside the old socket until it takes over.

Owned by `child.py`; its own task waits for readiness, so that the old process stays supervised meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from src.ipc.messages.status import Health
from src.settings import SupervisorSettings
from src.supervisor.launcher import ProbeError, ProcessLauncher
from src.supervisor.specs import ChildSpec, beside
from src.supervisor.starting import StartWatch

_POLL_S = 0.1


class Standby:
    """Becomes `ready` or has a `failure`; then `release` it and adopt or kill its process. Raises OSError."""

    def __init__(
        self, spec: ChildSpec, launcher: ProcessLauncher, settings: SupervisorSettings, clock: Callable[[], float]
    ) -> None:
        self._settings = settings
        self._clock = clock
        self.started_at = clock()
        self.health: Health | None = None
        self.process = launcher.spawn(beside(spec))
        self._probe = launcher.probe(beside(spec), self.process.pid)
        self._waiting = asyncio.get_running_loop().create_task(self._until_ready())

    @property
    def ready(self) -> bool:
        return self._waiting.done() and self._waiting.result() is None and not self.process.exited.done()

    @property
    def failure(self) -> str | None:
        """Why it will not become ready; None while it may."""
        if self.process.exited.done():
            return f"it exited with {self.process.exited.result()}"
        return self._waiting.result() if self._waiting.done() else None

    def release(self) -> None:
        """Stop watching it; its process keeps running."""
        self._waiting.cancel()
        self._probe.close()

    async def _until_ready(self) -> str | None:
        """None once it is ready; else the reason."""
        watch, why, said = StartWatch(self._settings, self.started_at), None, "no reply"
        while why is None and not self.process.exited.done():
            answered = False
            try:
                self.health = await self._probe.ask(self._settings.heartbeat_timeout)
                answered = True
                if self.health is None or self.health.state == "ready":
                    return None
                said = self.health.detail or self.health.state
            except ProbeError as error:
                said = str(error)
            await asyncio.sleep(_POLL_S)
            why = watch.stall_reason(self.health, self._clock(), answered=answered)
        return f"{why or 'it has exited'}: {said}"
