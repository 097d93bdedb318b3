"""Judges the demo model on the held-out split: `python -m training.demo.evaluate [--card]`; exit code 1 on a miss.

The misses of the held-out split are never shown, so that the data cannot be fitted to them: `--validation` shows
those of a split of its own.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from src.gpu import blas

BLAS = blas.preload()

from training.demo import card, speed  # noqa: E402
from training.demo.dialogues import Dialogue, Turn, held_out, validation  # noqa: E402
from training.demo.speed import Loaded  # noqa: E402

DEMO = Path("models/demo")
ANSWER_LIMIT = 128
THRESHOLDS = {"help": 0.90, "sum": 0.95, "unknown": 0.90, "near": 0.90}
NAMES = {
    "help": "help questions right by key facts",
    "sum": "one-digit sums right",
    "unknown": "unanswerable questions declined",
    "near": "questions near a topic declined",
    "small_talk": "small talk",
    "fact": "small facts",
    "difference": "one-digit differences",
    "copy": "words copied",
    "reverse": "words reversed",
    "order": "order of days and months",
    "capital": "capitals",
}


@dataclass(frozen=True)
class Answer:
    """What the model said to the last question of a dialogue."""

    turn: Turn
    text: str
    ended: bool

    @property
    def right(self) -> bool:
        """Whether every key fact is in the text; a key with a line end must close the text."""
        return self.ended and all(key in self.text + "\n" for key in self.turn.keys)


@dataclass(frozen=True)
class Score:
    """One line of the table; a threshold of None is for information."""

    name: str
    right: int
    total: int
    threshold: float | None

    @property
    def met(self) -> bool:
        """Whether the threshold, if any, is reached."""
        return self.threshold is None or self.right >= self.threshold * self.total

    def cells(self) -> tuple[str, str, str]:
        """Name, result and threshold as text."""
        asked = "" if self.threshold is None else f"≥ {self.threshold:.0%}"
        return self.name, f"{self.right} of {self.total} ({self.right / max(1, self.total):.1%})", asked


def answers(loaded: Loaded, dialogues: list[Dialogue]) -> list[Answer]:
    """Greedy answers, in batches; an answer of the full length has not ended."""
    prompts = [loaded.prompt(dialogue.messages()) for dialogue in dialogues]
    said = loaded.complete(prompts, ANSWER_LIMIT)
    return [
        Answer(dialogue.turns[-1], loaded.text(ids), len(ids) < ANSWER_LIMIT)
        for dialogue, ids in zip(dialogues, said, strict=True)
    ]


def _kind(turn: Turn) -> str:
    return turn.kind.split(":")[0]


def scores(found: list[Answer]) -> list[Score]:
    """The quality lines."""
    table = []
    for kind, name in NAMES.items():
        mine = [answer for answer in found if _kind(answer.turn) == kind]
        table.append(Score(name, sum(a.right for a in mine), len(mine), THRESHOLDS.get(kind)))
    ended = sum(a.ended for a in found)
    valid = sum("\ufffd" not in a.text for a in found)
    table.append(Score(f"answers ended within {ANSWER_LIMIT} tokens", ended, len(found), 1.0))
    table.append(Score("answers in valid UTF-8", valid, len(found), 1.0))
    return table


def misses(found: Iterable[Answer]) -> Iterable[str]:
    """The wrong answers, to read."""
    for answer in found:
        if not answer.right:
            yield f"{answer.turn.kind} {answer.turn.language} | {answer.turn.question} | {answer.text[:90]}"


def main() -> int:
    """Evaluate, print, perhaps rewrite the card."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=DEMO)
    parser.add_argument("--card", action="store_true", help="rewrite the table in the model card")
    parser.add_argument("--validation", action="store_true", help="other questions, with every wrong answer")
    args = parser.parse_args()
    loaded = speed.load(args.model)
    found = answers(loaded, validation() if args.validation else held_out())
    quality = scores(found)
    if args.validation:
        print(*misses(found), card.table([score.cells() for score in quality]), sep="\n")
        return 0
    table = card.table([score.cells() for score in quality] + speed.cells(loaded, BLAS))
    print(table)
    if args.card:
        card.rewrite(args.model / "README.md", table)
    return int(not all(score.met for score in quality))


if __name__ == "__main__":
    sys.exit(main())
