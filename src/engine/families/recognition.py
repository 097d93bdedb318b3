"""Which family a model is of: by its chat template, then by its vocabulary, or as the settings say. Pure."""

from __future__ import annotations

import re
from collections.abc import Container
from dataclasses import dataclass

from src.engine.families.formats import Family, Language, Reasoning, Tools
from src.engine.families.table import FAMILIES, REASONING
from src.engine.families.tool_formats import TOOLS

# a mark that any text may hold means something only where the checkpoint speaks of it
_ORDINARY = re.compile(r"</?\w+>|\[[\w ]+\]")
_OFFERS = re.compile(r"\btools\b")


@dataclass(frozen=True)
class Signs:
    """What a checkpoint says of itself."""

    template: str
    vocabulary: Container[str]

    def has(self, mark: str) -> bool:
        return mark in self.template or mark in self.vocabulary

    def written(self, groups: tuple[tuple[str, ...], ...]) -> bool:
        """Whether the template holds one of these groups whole."""
        return any(all(sign in self.template for sign in group) for group in groups)

    def listed(self, tokens: tuple[str, ...]) -> bool:
        return bool(tokens) and all(token in self.vocabulary for token in tokens)


def recognise(signs: Signs, tools: str = "auto", reasoning: str = "auto") -> Language:
    """The language of a model; `tools` and `reasoning` are formats chosen by hand, "none", or "auto"."""
    family = _family(signs, tools)
    spoken = _tools(family, tools)
    return Language(
        family.name if family is not None else "unknown" if _OFFERS.search(signs.template) else "plain",
        _reasoning(signs, family, reasoning),
        spoken,
        tuple(mark for mark in family.hidden if signs.has(mark) or not _ORDINARY.fullmatch(mark)) if family else (),
        family.ends if family is not None else (),
        family.channels if family is not None else "",
        spoken is None and tools == "auto" and _OFFERS.search(signs.template) is not None,
    )


def _family(signs: Signs, tools: str) -> Family | None:
    if tools not in ("auto", "none"):
        return next((row for row in FAMILIES if row.tools == tools), None)
    rows = [row for row in FAMILIES if row.tools]
    for row in rows:
        if signs.written(TOOLS[row.tools].signs):
            return row
    for row in rows:
        if signs.listed(TOOLS[row.tools].tokens):
            return row
    thinking = (row for row in FAMILIES if not row.tools)
    return next((row for row in thinking if _first(signs, row.reasoning) is not None), None)


def _tools(family: Family | None, tools: str) -> Tools | None:
    if tools == "none":
        return None
    if tools != "auto":
        return TOOLS[tools]
    return TOOLS[family.tools] if family is not None and family.tools else None


def _reasoning(signs: Signs, family: Family | None, reasoning: str) -> Reasoning | None:
    if reasoning != "auto":
        return REASONING.get(reasoning)
    if family is not None and family.channels:
        return REASONING["channels"]
    own = _first(signs, family.reasoning) if family is not None else None
    return own or next((each for each in REASONING.values() if signs.listed((each.start, each.end))), None)


def _first(signs: Signs, names: tuple[str, ...]) -> Reasoning | None:
    """The first of these that the checkpoint speaks of."""
    found = (REASONING[name] for name in names)
    return next((each for each in found if each.start and signs.has(each.start) and signs.has(each.end)), None)
