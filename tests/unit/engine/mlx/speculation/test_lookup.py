"""What a request predicts of its answer, and what was said before, as guesses of a row."""

from __future__ import annotations

import random

import pytest

from src.gpu import blas

blas.preload()  # before anything imports MLX

from src.engine.mlx.sampling import SamplingRow  # noqa: E402
from src.engine.mlx.speculation.batch import SpeculativeRow  # noqa: E402
from src.engine.mlx.speculation.lookup import LookupDrafter, RowLookup  # noqa: E402

PROMPT = [1, 2, 3, 4]
CODE = [10, 11, 12, 13, 14, 15, 16, 17]


def row(answer: list[int], prediction: list[int], limit: int = 3, prompt: list[int] = PROMPT) -> SpeculativeRow:
    tokens = [*prompt, *answer]
    return SpeculativeRow(7, tokens[:-1], tokens[-1], SamplingRow(len(prompt), prediction=prediction), limit)


def guess(
    answer: list[int], prediction: list[int], limit: int = 3, prompt: list[int] = PROMPT
) -> tuple[list[int], bool]:
    """What is guessed behind an answer so far, and whether it is from the prediction."""
    line = row(answer, prediction, limit, prompt)
    lookup = RowLookup(line)
    lookup.read(line)
    return lookup.guess(limit), lookup.is_predicted


@pytest.mark.parametrize(
    ("answer", "guessed", "is_predicted"),
    [
        ([], [10, 11, 12], True),  # before its first token
        ([10, 11], [12, 13, 14], True),
        ([10, 11, 12, 13, 14, 15], [16, 17], True),  # up to its end
        (CODE, [], False),
        ([*CODE, 9], [], False),
        ([9], [], False),  # not as predicted, and nothing alike
        ([9, 12, 13], [14, 15, 16], True),  # it says a part of it
        ([10, 11, 9, 9, 14, 15], [16, 17], True),  # some of it is replaced
        ([2, 3], [4, 10, 11], False),  # as the prompt
    ],
)
def test_an_answer_goes_on_as_predicted(answer: list[int], guessed: list[int], is_predicted: bool) -> None:
    assert guess(answer, CODE) == (guessed, is_predicted)


def test_without_a_prediction_there_is_the_text_alone() -> None:
    """Also where the answer begins as the prompt ended."""
    assert guess([], []) == ([], False)
    assert guess([5, 6, 5, 6], []) == ([5, 6], False)
    assert guess([8, 9], [], prompt=[8, 9, 3]) == ([3, 8, 9], False)
    assert guess([8, 9], [], prompt=[3, 8, 9]) == ([8, 9], False)


def test_a_text_that_repeats_itself_keeps_its_place() -> None:
    """Lines alike say where an answer is in its prediction by what came before them all."""
    line = [20, 21, 22, 23, 24, 25, 26, 27, 28, 29]
    prediction = [*line, 1, *line, 2, *line, 3]
    assert guess(prediction[:21], prediction) == ([2, *line[:2]], True)


def test_token_by_token_as_at_once() -> None:
    """A row that is read every step, or after many, or put back with a part of its answer."""
    chance = random.Random(3)
    for _ in range(20):
        prediction = [chance.randrange(6) for _ in range(15)]
        answer = [*prediction[:5], *(chance.randrange(6) for _ in range(9))]
        drafter, made = LookupDrafter(), list[list[int]]()
        for at in range(len(answer)):
            drafter.reach([row(answer[:at], prediction)])
            made += drafter.guess([], 3)
        assert made[:5] == [prediction[at : at + 3] for at in range(5)]
        assert made[5] == prediction[5:8]
        drafter.keep([])
        assert len(made) == len(answer)
