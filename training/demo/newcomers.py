"""Judges the demo model on questions that newcomers ask (`newcomers.txt`): `python -m training.demo.newcomers`.

Right, honestly declined or wrong, and whether a wrong answer names a command: that one is acted on. Answers are shown,
so the list is no hidden split; what it asks is taught in other words (`tests/unit/test_training.py`). `--list` takes
`newcomers_fresh.txt` or `newcomers_third.txt`, say, in view of which nothing was taught.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from src.gpu import blas

BLAS = blas.preload()

from training.demo import speed, unanswerable  # noqa: E402
from training.demo.evaluate import ANSWER_LIMIT, DEMO  # noqa: E402

LIST = Path(__file__).with_suffix(".txt")
LISTS = (LIST, LIST.with_stem("newcomers_fresh"), LIST.with_stem("newcomers_third"))
GOOD = 34


@dataclass(frozen=True)
class Question:
    """`keys`: what a right answer holds; without any only declining is right."""

    text: str
    keys: tuple[str, ...]

    def verdict(self, answer: str) -> str:
        if self.keys and all(key in answer for key in self.keys):
            return "right"
        if any(key in answer for key in unanswerable.KEYS.values()):
            return "declined"
        return "wrong on a command" if "`" in answer else "wrong"


def questions(path: Path = LIST) -> list[Question]:
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    asked = (line.split("|") for line in lines)
    return [Question(text.strip(), tuple(filter(None, map(str.strip, keys.split(";"))))) for text, keys in asked]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=DEMO)
    parser.add_argument("--list", type=Path, default=LIST)
    options = parser.parse_args()
    loaded, asked = speed.load(options.model), questions(options.list)
    prompts = [loaded.prompt([{"role": "user", "content": question.text}]) for question in asked]
    said = [loaded.text(ids) for ids in loaded.complete(prompts, ANSWER_LIMIT)]
    verdicts = [question.verdict(answer) for question, answer in zip(asked, said, strict=True)]
    for question, answer, verdict in zip(asked, said, verdicts, strict=True):
        print(f"{verdict:<19}| {question.text} | {answer}")
    found = Counter(verdicts)
    print(", ".join(f"{found[name]} {name}" for name in ("right", "declined", "wrong", "wrong on a command")))
    return int(found["right"] + found["declined"] < GOOD or found["wrong on a command"] > 0)


if __name__ == "__main__":
    sys.exit(main())
