"""What `make test-architectures` found, as lines and as docs/architectures.md."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from src.settings import ROOT

DOCUMENT = ROOT / "docs" / "architectures.md"
PROBLEMS = ("wrong", "slow", "died")
_SLACK = 1.25  # how much more than the KV budget charges a sequence may take
_LONGEST = 160
_HEAD = """# Architectures

`make test-architectures` makes a tiny random checkpoint of every architecture of the installed mlx-lm (configurations
derived from their argument classes) and serves it by the real engine: a prompt alone, in a batch of unequal prompts,
from the prefix cache, after an offload, and put to a fresh engine with its first tokens, as after a crash. All must
give the same greedy text. Beside it, what keys, values and states of a sequence take is compared with what the KV
budget charges for it. (Generated: `make test-architectures ARCHITECTURES=--write`.)

Not tried this way: the part of mlx-vlm's architectures that sees. Each has a processor with files of its own, which no
argument class describes; `models/ocr-tiny` (GLM-OCR) stands for them in the other tests.

| Verdict | Meaning |
|---|---|
| same | all five ways give the same text |
| single | the check at load found its batch wrong or failing: one request at a time, the same text in all ways |
| wrong | a way gives another text |
| refused | the engine does not load it, for the reason that it gives |
| unwritten | no tiny configuration of ours suits it |
| slow, died | no result in time; its process ended |

"""


@dataclass(frozen=True)
class Verdict:
    """On one architecture. `memory`: bytes of a sequence as a part of what the KV budget charges."""

    name: str
    kind: str
    why: str = ""
    memory: float | None = None

    @classmethod
    def parse(cls, line: str) -> Verdict:
        return cls(**json.loads(line))

    def fields(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def reason(self) -> str:
        return " ".join(self.why.split())[:_LONGEST]

    def line(self) -> str:
        memory = "" if self.memory is None else f"memory {self.memory:.2f} "
        return f"{self.name:24} {self.kind:10} {memory}{self.reason}"


def write(found: list[Verdict]) -> None:
    DOCUMENT.write_text(text(found), encoding="utf-8")


def text(found: list[Verdict]) -> str:
    counts = Counter(verdict.kind for verdict in found)
    kept = [verdict for verdict in found if verdict.memory is not None]
    within = sum(verdict.memory is not None and verdict.memory <= _SLACK for verdict in kept)
    said = ", ".join(f"{count} {kind}" for kind, count in counts.most_common())
    day = datetime.now(UTC).date()
    head = f"On {day}, on a Linux CPU with mlx-lm {version('mlx-lm')}: of {len(found)} architectures {said}. "
    head += f"Of {len(kept)} whose memory was read, {within} stay within the KV budget (at most {_SLACK} of it).\n\n"
    rows = ["| Architecture | Verdict | Memory / budget | Reason |", "|---|---|---|---|"]
    for verdict in sorted(found, key=lambda each: each.name):
        memory = "" if verdict.memory is None else f"{verdict.memory:.2f}"
        reason = verdict.reason.replace("|", "\\|").replace("<", "&lt;")
        rows.append(f"| `{verdict.name}` | {verdict.kind} | {memory} | {reason} |")
    return _HEAD + head + "\n".join(rows) + "\n"
