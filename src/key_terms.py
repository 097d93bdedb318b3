"""A key's terms: until when it is valid, and its budgets for a day, as its line in the file of keys has them. Pure.

`name=value` words behind the role; what is not there is as the settings say. `src/keys.py` reads and writes the lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

_DAY_S = 86_400.0
_UNITS = {"h": 3600.0, "d": _DAY_S}
_SPAN = re.compile(r"([1-9][0-9]{0,4})([hd])")
_COUNT = re.compile(r"[0-9]{1,15}")
_FORM = "%Y-%m-%dT%H:%M:%SZ"
TIME_HELP = "a UTC time such as 2027-01-31 or 2027-01-31T12:00:00Z"


@dataclass(frozen=True)
class Terms:
    """`expires`: Unix seconds; None is never. Budgets count a UTC day; None is the setting's, 0 is no limit."""

    expires: float | None = None
    tokens_per_day: int | None = None
    pages_per_day: int | None = None

    def has_expired(self, now: float) -> bool:
        return self.expires is not None and self.expires <= now


NONE = Terms()


def parse(words: Iterable[str]) -> Terms:
    """The words of a line.

    Raises:
        ValueError: with what is wrong; no word is repeated, as it may be part of a key.
    """
    values: dict[str, str] = {}
    for word in words:
        name, _, value = word.partition("=")
        if name not in ("expires", "tokens_per_day", "pages_per_day"):
            raise ValueError("behind the role stand `expires=`, `tokens_per_day=` and `pages_per_day=` alone")
        if name in values:
            raise ValueError(f"`{name}=` is there twice")
        values[name] = value
    return Terms(
        _time("expires", values["expires"]) if "expires" in values else None,
        _count("tokens_per_day", values.get("tokens_per_day")),
        _count("pages_per_day", values.get("pages_per_day")),
    )


def written(terms: Terms) -> str:
    """As `parse` reads them."""
    shown = {
        "expires": None if terms.expires is None else shown_time(terms.expires),
        "tokens_per_day": terms.tokens_per_day,
        "pages_per_day": terms.pages_per_day,
    }
    return " ".join(f"{name}={value}" for name, value in shown.items() if value is not None)


def shown_time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime(_FORM)


def expiry(text: str, now: float) -> float | None:
    """When a key ends, as an operator writes it: a time, a span from now (`90d`, `12h`), or `never`.

    Raises:
        ValueError: it is none of these, or past.
    """
    if text == "never":
        return None
    span = _SPAN.fullmatch(text)
    at = now + int(span[1]) * _UNITS[span[2]] if span is not None else _time("--expires", text)
    if at <= now:
        raise ValueError(f"--expires: {shown_time(at)} is past; `key revoke` ends a key at once.")
    return float(int(at))


def budget(name: str, text: str) -> int | None:
    """A budget for a day, as an operator writes it; `default` is the setting's.

    Raises:
        ValueError: it is no number.
    """
    return None if text == "default" else _count(name, text)


def _time(name: str, text: str) -> float:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"`{name}` is {TIME_HELP}") from None
    return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp()


def _count(name: str, text: str | None) -> int | None:
    if text is None:
        return None
    if not _COUNT.fullmatch(text):
        raise ValueError(f"`{name}` is a whole number; 0 is no limit")
    return int(text)
