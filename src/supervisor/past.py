"""What a child leaves to its next process, and to /metrics: restarts, and what its ended processes had counted."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from src.ipc.messages import counts
from src.ipc.messages.status import EngineLoad, Health, OcrLoad


@dataclass(frozen=True)
class Past:
    """`restarts` by reason. `engine`, `ocr`: counters as of the last heartbeat of each process that has ended."""

    restarts: dict[str, int] = field(default_factory=dict)
    engine: EngineLoad | None = None
    ocr: OcrLoad | None = None

    def with_ended(self, health: Health | None) -> Past:
        """A process has ended, and this was its last heartbeat."""
        if health is None:
            return self
        engine, ocr = counts.add_engine(self.engine, health.load), counts.add_ocr(self.ocr, health.ocr)
        return replace(self, engine=engine, ocr=ocr)

    def with_restart(self, reason: str) -> Past:
        return replace(self, restarts=self.restarts | {reason: self.restarts.get(reason, 0) + 1})
