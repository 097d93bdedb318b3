"""Finds a family's marks in a text that grows, wherever it is cut. Pure; owner thread."""

from __future__ import annotations

import re
from collections.abc import Iterable


class Marks:
    """Some marks, of which the longest one wins where several begin."""

    def __init__(self, marks: Iterable[str]) -> None:
        known = sorted({mark for mark in marks if mark}, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, known))) if known else None
        self._beginnings = frozenset(mark[:length] for mark in known for length in range(1, len(mark)))
        self._firsts = frozenset(mark[0] for mark in known)
        self._longest = max(map(len, known), default=1) - 1

    def first(self, text: str, *, last: bool = False) -> re.Match[str] | None:
        """The first whole mark. One that a longer mark may grow from waits for more, unless this is the end."""
        found = None if self._pattern is None else self._pattern.search(text)
        return None if found is not None and not last and text[found.start() :] in self._beginnings else found

    def held(self, text: str) -> int:
        """How many of the last characters may begin a mark."""
        tail, beginnings = text[-self._longest :], self._beginnings
        if not any(first in tail for first in self._firsts):  # of most texts
            return 0
        for length in range(min(self._longest, len(text)), 0, -1):
            if text[-length:] in beginnings:
                return length
        return 0

    def strip(self, text: str) -> str:
        """The text without its marks."""
        return text if self._pattern is None else self._pattern.sub("", text)


class Flow:
    """One of an answer's texts. White space beside marks says nothing: it is held until more of the text comes."""

    def __init__(self, joint: str = "") -> None:
        """`joint` stands between parts that nothing else keeps apart."""
        self._joint = joint
        self._begun = self._grown = False
        self._blank = ""

    @property
    def begun(self) -> bool:
        return self._begun

    def take(self, text: str) -> str:
        """What of it is sure to be shown."""
        if not self._begun:
            text = (self._blank + text).lstrip("\n")
        else:
            text = (self._blank or ("" if self._grown else self._joint)) + text
        kept = text.rstrip()
        self._blank = text[len(kept) :]
        if kept:
            self._begun = self._grown = True
        return kept

    def pause(self) -> None:
        """A mark comes."""
        self._grown = False

    def rest(self) -> str:
        """At the answer's end: white space that no mark stands before."""
        rest, self._blank = self._blank if self._grown else "", ""
        return rest
