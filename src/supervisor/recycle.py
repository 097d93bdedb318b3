"""When an engine is due for recycling: pure policy, one `RecyclePolicy` per process, used by `child.py`.

Limits on tokens, requests, and memory growth: the minimum over a window, compared with the footprint after loading.
"""

from __future__ import annotations

from src.gpu.watermarks import fits, footprint
from src.ipc.messages.status import Health
from src.settings import SupervisorSettings

_WINDOW_S = 60.0  # longer than the caches of running requests live


class RecyclePolicy:
    """Updated with each heartbeat of one process, from readiness on."""

    def __init__(self, settings: SupervisorSettings) -> None:
        self._settings = settings
        self._loaded: int | None = None
        self._floor = self._least = 0
        self._window_ends = 0.0
        self._patient_until = float("-inf")

    def why(self, health: Health | None, now: float) -> str | None:
        """The limit that was reached, as text."""
        if health is None or health.load is None or health.location == "cpu":
            return None  # an offloaded model holds no device memory
        grown_mb = self._growth(footprint(health.memory), now) >> 20
        reached = (
            ("tokens", health.load.tokens, self._settings.engine_max_tokens, "ENGINE_MAX_TOKENS"),
            ("answers", health.load.answers, self._settings.engine_max_requests, "ENGINE_MAX_REQUESTS"),
            ("MiB more than when loaded", grown_mb, self._settings.engine_max_growth_mb, "ENGINE_MAX_GROWTH_MB"),
        )
        words = [f"{count} {what} ({name})" for what, count, limit, name in reached if limit and count >= limit]
        return words[0] if words and now >= self._patient_until else None

    def wait(self, until: float) -> None:
        """Recycling failed: retry at `until`."""
        self._patient_until = until

    def both_fit(self, health: Health | None, available_bytes: int) -> bool:
        """Whether a standby fits beside it: in host memory, and in device memory where that is known."""
        loaded = self._loaded or 0
        device = health.device if health is not None else None
        total = device.memory_total_bytes if device is not None and device.kind == "cuda" else None
        return fits(loaded, available_bytes) and (total is None or fits(2 * loaded, total))

    def _growth(self, now_bytes: int, now: float) -> int:
        if self._loaded is None:
            self._loaded = self._floor = self._least = now_bytes
            self._window_ends = now + _WINDOW_S
        self._least = min(self._least, now_bytes)
        if now >= self._window_ends:
            self._floor, self._least, self._window_ends = self._least, now_bytes, now + _WINDOW_S
        return self._floor - self._loaded
