"""Training rows: dialogues turned into token ids with the answers marked, packed side by side."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from training.demo.dialogues import EXACT_KINDS, Dialogue, training

Ids = NDArray[np.int32]
WIDTH = 112
CUT_TOKENS = 8
CUT_SHARE = 0.85


@dataclass(frozen=True)
class Row:
    """The ids of a dialogue and 1 where a token belongs to an answer."""

    ids: list[int]
    mask: list[int]


@dataclass(frozen=True)
class Batch:
    """Packed rows: ids, the dialogue each id belongs to (0: padding), and 1 where a token belongs to an answer."""

    ids: Ids
    segments: Ids
    said: Ids

    def halves(self) -> tuple[Batch, Batch]:
        """The first rows and the others."""
        cut = len(self.ids) // 2
        first, second = slice(cut), slice(cut, None)
        return (
            Batch(self.ids[first], self.segments[first], self.said[first]),
            Batch(self.ids[second], self.segments[second], self.said[second]),
        )


def tokenizer_texts(seed: int) -> Iterator[str]:
    """Questions and answers as plain text, to learn the tokenizer from."""
    for dialogue in training(seed):
        for turn in dialogue.turns:
            yield turn.question
            yield turn.answer


def parts(dialogue: Dialogue) -> Iterator[tuple[str, bool]]:
    """The ChatML text in pieces, each with whether the model is to say it; it equals the chat template's text."""
    if dialogue.system:
        yield f"<|im_start|>system\n{dialogue.system}<|im_end|>\n", False
    for turn in dialogue.turns:
        yield f"<|im_start|>user\n{turn.question}<|im_end|>\n<|im_start|>assistant\n", False
        yield f"{turn.answer}<|im_end|>", True
        yield "\n", False


def encode(dialogue: Dialogue, tokenizer: Tokenizer) -> Row:
    """The row of a dialogue, without the newline after its last answer."""
    ids: list[int] = []
    mask: list[int] = []
    for text, said in list(parts(dialogue))[:-1]:
        piece = tokenizer.encode(text).ids
        ids += piece
        mask += [int(said)] * len(piece)
    return Row(ids, mask)


def cut(row: Row, rng: random.Random) -> Row:
    """Mostly without the rest of a long last answer: its first tokens decide, the rest is soon known by heart."""
    start = len(row.mask) - row.mask[::-1].index(0)
    keep = start + CUT_TOKENS
    if rng.random() > CUT_SHARE:
        return row
    return Row(row.ids[:keep], row.mask[:keep])


def learned(dialogue: Dialogue, tokenizer: Tokenizer, rng: random.Random) -> Row:
    """The row to train on: whole where each token of the answer depends on the question, else mostly cut."""
    row = encode(dialogue, tokenizer)
    return row if dialogue.turns[-1].kind in EXACT_KINDS else cut(row, rng)


def _fill(rows: Iterator[Row], waiting: list[Row], count: int) -> list[list[Row]]:
    """Dialogues for each of `count` packed rows; those that fit nowhere wait for the next batch."""
    bins: list[list[Row]] = [[] for _ in range(count)]
    room = [WIDTH] * count
    queue, waiting[:] = list(waiting), []
    while len(waiting) < 8:
        row = queue.pop(0) if queue else next(rows)
        place = next((i for i, free in enumerate(room) if free >= len(row.ids)), None)
        if place is None:
            waiting.append(row)
            continue
        bins[place].append(row)
        room[place] -= len(row.ids)
    waiting.extend(queue)
    return bins


def pack(bins: list[list[Row]], fill: int) -> Batch:
    """The arrays of packed rows."""
    batch = Batch(*(np.full((len(bins), WIDTH), value, np.int32) for value in (fill, 0, 0)))
    for i, rows in enumerate(bins):
        at = 0
        for number, row in enumerate(rows, 1):
            span = slice(at, at + len(row.ids))
            batch.ids[i, span], batch.segments[i, span], batch.said[i, span] = row.ids, number, row.mask
            at = span.stop
    return batch


def batches(tokenizer: Tokenizer, tokens: int, seed: int) -> Iterator[Batch]:
    """Endless batches of about so many tokens; dialogues of all lengths mix, as they come."""
    rng = random.Random(seed)
    rows = (learned(dialogue, tokenizer, rng) for dialogue in training(seed))
    short = (row for row in rows if len(row.ids) <= WIDTH)
    fill = tokenizer.encode("<|endoftext|>").ids[0]
    waiting: list[Row] = []
    while True:
        yield pack(_fill(short, waiting, max(1, tokens // WIDTH)), fill)
