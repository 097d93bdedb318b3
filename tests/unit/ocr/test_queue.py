"""The line: classes, order of arrival in each, and nobody passed for ever."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from src.ipc.messages.base import Priority
from src.ocr.queue import AGE_S, PageQueue


@dataclass(eq=False)
class Someone:
    name: str
    arrived: float
    priority: Priority = "normal"
    owner: str = ""


def order(line: PageQueue[Someone]) -> str:
    names = ""
    while line:
        names += line.pop().name
    return names


def test_high_goes_before_normal_before_low() -> None:
    """Of those who came at about the same time, the class decides; in a class, arrival."""
    line: PageQueue[Someone] = PageQueue()
    for someone in (Someone("l", 0, "low"), Someone("a", 1), Someone("h", 2, "high"), Someone("b", 3)):
        line.add(someone)
    assert order(line) == "habl"


def test_low_priority_does_not_starve() -> None:
    """After the age of two classes it goes before a high one that has just come."""
    line: PageQueue[Someone] = PageQueue()
    line.add(Someone("l", 0, "low"))
    line.add(Someone("h", 2 * AGE_S + 1, "high"))
    assert order(line) == "lh"


def test_requeued_items_come_first() -> None:
    """A page whose worker died goes before all classes."""
    line: PageQueue[Someone] = PageQueue()
    line.add(Someone("h", 0, "high"))
    line.requeue(Someone("x", 9, "low"))
    assert (len(line), order(line)) == (2, "xh")


def test_an_empty_queue_raises() -> None:
    """Nobody is nobody; leaving it twice is no error."""
    line: PageQueue[Someone] = PageQueue()
    line.remove(Someone("a", 0))
    with pytest.raises(IndexError):
        line.pop()


def test_keys_take_turns() -> None:
    """Behind many pages of one key another's first one waits for one of them, not for all."""
    line: PageQueue[Someone] = PageQueue()
    for number in range(5):
        line.add(Someone("b", number, owner="bob"))
    line.add(Someone("a", 9, owner="alice"))
    line.add(Someone("A", 10, owner="alice"))
    assert order(line) == "babAbbb"
