"""What `make test-architectures` found, as lines and as docs/architectures.md."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from src.settings import ROOT

DOCUMENT = ROOT / "docs" / "architectures.md"
PROBLEMS = ("wrong", "slow", "died", "blind")
VISION = "vision/"
_SLACK = 1.25  # how much more than the KV budget charges a sequence may take
_LONGEST = 160
_HEAD = """# Architectures

`make test-architectures` makes a tiny random checkpoint of every architecture of the installed mlx-lm and mlx-vlm
(configurations derived from their argument classes) and serves it by the real engine, alone and in a batch of unequal
prompts, after an offload, and put to a fresh engine with its first tokens, as after a crash. All must give the same
answer. Beside it, what keys, values and states of a sequence take is compared with what the KV budget charges for it.
(Generated: `make test-architectures ARCHITECTURES=--write`. `--kind vision` or `--kind text` tries one kind,
`ARCHITECTURES="llama vision/qwen2_vl"` these two.)

| Verdict | Meaning |
|---|---|
| same | all ways give the same answer |
| single | the check at load found its batch wrong or failing: one request at a time, the same answer in all ways |
| wrong | a way gives another answer |
| blind | another picture gives the same answer |
| refused | the engine does not load it, for the reason that it gives |
| unwritten | no tiny configuration of ours suits it |
| slow, died | no result in time; its process ended |

"""
_TEXT = """## Text models

A prompt alone, in a batch, from the prefix cache, after an offload, after a crash: the same greedy text.

"""
_SIGHT = """## Vision models

A text and two pictures of different sizes with questions, alone, in a batch, after an offload, after a crash: the same
log-probabilities within 0.01; and another picture must change them. The processor is the one that mlx-vlm or
transformers has for the architecture, with files of ours beside it; the tokenizer is one of bytes with the family's
marks. Vision models have no prefix cache.

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
        return f"{self.name:32} {self.kind:10} {memory}{self.reason}"


def write(found: list[Verdict], untried: Mapping[str, str]) -> None:
    """Write the tables of the kinds that were tried; the other's stays. `untried`: the vision models, and why not."""
    parts = _sections(DOCUMENT.read_text(encoding="utf-8"))
    seeing = [one for one in found if one.name.startswith(VISION)]
    if len(seeing) < len(found):
        parts["Text models"] = _TEXT + _table([one for one in found if one not in seeing], "mlx-lm")
    if seeing:
        parts["Vision models"] = _SIGHT + _table(seeing, "mlx-vlm") + _untried(untried)
    DOCUMENT.write_text(_HEAD + "\n".join(parts.values()), encoding="utf-8")


def _sections(text: str) -> dict[str, str]:
    """The parts of a document below its head, by their headings."""
    found = re.split(r"^## (.+)\n", text, flags=re.MULTILINE)[1:]
    return {name: f"## {name}\n{body.rstrip()}\n" for name, body in zip(found[::2], found[1::2], strict=True)}


def _table(found: list[Verdict], library: str) -> str:
    counts = Counter(verdict.kind for verdict in found)
    kept = [verdict for verdict in found if verdict.memory is not None]
    within = sum(verdict.memory is not None and verdict.memory <= _SLACK for verdict in kept)
    said = ", ".join(f"{count} {kind}" for kind, count in counts.most_common())
    day = datetime.now(UTC).date()
    head = f"On {day}, on a Linux CPU with {library} {version(library)}: of {len(found)} architectures {said}. "
    head += f"Of {len(kept)} whose memory was read, {within} stay within the KV budget (at most {_SLACK} of it).\n\n"
    rows = ["| Architecture | Verdict | Memory / budget | Reason |", "|---|---|---|---|"]
    for verdict in sorted(found, key=lambda each: each.name):
        memory = "" if verdict.memory is None else f"{verdict.memory:.2f}"
        reason = _cell(verdict.reason)
        rows.append(f"| `{verdict.name.removeprefix(VISION)}` | {verdict.kind} | {memory} | {reason} |")
    return head + "\n".join(rows) + "\n"


def _untried(untried: Mapping[str, str]) -> str:
    rows = [f"| `{name}` | {_cell(why)} |" for name, why in sorted(untried.items())]
    return "\nNot tried:\n\n| Architecture | Why not |\n|---|---|\n" + "\n".join(rows) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")
