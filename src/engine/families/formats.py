"""What a family is: how its thinking and its calls are written, and how its history is. Data only; `table` has them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

# the calls in a text, as dicts of `name` and `arguments`; raises ValueError when it cannot be read
Parser = Callable[[str, list[dict[str, Any]]], list[dict[str, Any]]]
# in what a template wants the arguments of earlier calls, and how it numbers them
Arguments = Literal["object", "text"]
Ids = Literal["any", "kimi", "nine"]


@dataclass(frozen=True)
class Growth:
    """How a call's arguments are known while they are written: see `sections`.

    JSON: `head` ends where it begins, its group 1 is the call's name. Or: `name` is a call's, `part` ends an argument,
    `closer` a call.
    """

    head: re.Pattern[str] | None = None
    name: re.Pattern[str] | None = None
    part: str = ""
    closer: str = ""


@dataclass(frozen=True)
class Bare:
    """Calls without a mark: an answer that begins as `whole` is one; while it matches `partial` it may become one."""

    whole: re.Pattern[str]
    partial: re.Pattern[str]


@dataclass(frozen=True)
class Tools:
    """How calls are written.

    `start` and `end` stand around some; without an `end` they go to the answer's. `parse` reads what is between, or
    names the module of a library that does. `inner`: marks between them. `signs`: one group of them in a template
    means this format. `call`: what one begins with, where models leave `start` away. `forms` has how a call that must
    be made is written.
    """

    name: str
    start: str
    end: str
    parse: Parser | str
    growth: Growth | None = None
    inner: tuple[str, ...] = ()
    signs: tuple[tuple[str, ...], ...] = ()
    tokens: tuple[str, ...] = ()
    bare: Bare | None = None
    call: str = ""
    arguments: Arguments = "object"
    ids: Ids = "any"


@dataclass(frozen=True)
class Reasoning:
    """What stands around thinking. `named`: its start mark has to stand in the template, too."""

    name: str
    start: str
    end: str


@dataclass(frozen=True)
class Family:
    """A row of the table. `hidden`: marks around answers. `ends`: tokens that end a turn. `channels`: its text is
    headers and bodies, which `channels` reads. `vision`: mlx-vlm's architectures of its models that see."""

    name: str
    models: str
    tools: str = ""
    reasoning: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    ends: tuple[str, ...] = ()
    signs: tuple[tuple[str, ...], ...] = ()
    tokens: tuple[str, ...] = ()
    channels: Literal["", "harmony", "muse"] = ""
    vision: tuple[str, ...] = ()


@dataclass(frozen=True)
class Language:
    """What a loaded model speaks. `unknown_tools`: its template offers tools, in a format that nobody knows."""

    family: str
    reasoning: Reasoning | None = None
    tools: Tools | None = None
    hidden: tuple[str, ...] = ()
    ends: tuple[str, ...] = ()
    channels: str = ""
    unknown_tools: bool = False
