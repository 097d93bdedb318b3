"""`run.py usage`: what keys have used, by day, key and model, as a table, CSV or JSON. Read from STATE_DIR.

A running service has written everything but its last second.
"""

from __future__ import annotations

import csv
import json
import sqlite3
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from src.api.state import usage
from src.api.state.usage import COLUMNS, Column, Place, UsageCounts, UsageQuery
from src.commands.asking import of_running_service, terminal_width
from src.errors import ExitCode
from src.settings import Settings
from src.state.places import FILE
from src.supervisor.table import align

NAME, HELP = "usage", "requests, tokens and pages by day, key and model (`--csv`, `--json`)"

_WAIT_S = 2.0
_DAY_S = 86_400.0
_COUNTS = ("requests", "prompt_tokens", "cached_tokens", "completion_tokens", "total_tokens", "pages")


def configure(parser: ArgumentParser) -> None:
    parser.add_argument("--days", type=int, default=30, metavar="N", help="of the last N days, today's among them; 30")
    parser.add_argument("--from", dest="first", metavar="DAY", help="from this UTC day on (2027-01-31)")
    parser.add_argument("--to", dest="last", metavar="DAY", help="until this UTC day, itself included; today")
    parser.add_argument("--by", default=",".join(COLUMNS), metavar="COLUMNS", help="some of day,key,model; all")
    parser.add_argument("--key", metavar="NAME", help="of this key alone")
    parser.add_argument("--model", metavar="NAME", help="of this model alone (pages: ocr)")
    parser.add_argument("--csv", action="store_true", help="comma-separated values with a head")
    parser.add_argument("--json", action="store_true", help="one JSON array")


def run(options: Namespace, settings: Settings) -> ExitCode:
    try:
        query = _query(options, time.time())
        found = _read(of_running_service(settings).state_path, query)
    except (ValueError, OSError, sqlite3.Error) as error:
        print(f"usage: {error}", file=sys.stderr)
        return ExitCode.FAILURE
    _print(options, query.by, found)
    return ExitCode.OK


def last_uses(folder: Path) -> dict[str, int]:
    """When each key was used last, Unix seconds; empty where no service has written any."""
    try:
        with closing(_open(folder)) as db:
            return usage.last_uses(db)
    except sqlite3.Error:  # no file yet, or of a version without
        return {}


def _query(options: Namespace, now: float) -> UsageQuery:
    columns = tuple(options.by.split(","))
    if not set(columns) <= set(COLUMNS):
        raise ValueError(f"--by lists some of {', '.join(COLUMNS)}.")
    first = options.first or usage.day_of(now - max(0, options.days - 1) * _DAY_S)
    last = options.last or usage.day_of(now)
    by = cast("tuple[Column, ...]", columns)
    return UsageQuery(_day(first), _day(last), by, options.key, options.model, order="asc")


def _day(text: str) -> str:
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).strftime("%Y-%m-%d")
    except ValueError:
        raise ValueError(f"{text!r} is no day such as 2027-01-31.") from None


def _read(folder: Path, query: UsageQuery) -> list[tuple[Place, UsageCounts]]:
    if not (folder / FILE).exists():
        return []
    with closing(_open(folder)) as db:
        return usage.page(db, query)


def _open(folder: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{folder / FILE}?mode=ro", uri=True, timeout=_WAIT_S)


def _print(options: Namespace, by: Sequence[Column], found: list[tuple[Place, UsageCounts]]) -> None:
    columns = [name for name in COLUMNS if name in by]
    rows = [(*(getattr(place, name) for name in columns), *_shown(counts)) for place, counts in found]
    head = (*columns, *_COUNTS)
    if options.json:
        print(json.dumps([dict(zip(head, row, strict=True)) for row in rows], indent=1))
    elif options.csv:
        csv.writer(sys.stdout, lineterminator="\n").writerows([head, *rows])
    elif rows:
        table = [tuple(name.upper().replace("_", " ") for name in head)]
        table += [tuple(str(cell) if cell != "" else "-" for cell in row) for row in rows]
        print(align(table, terminal_width()))
    else:
        print("No usage in these days.")


def _shown(counts: UsageCounts) -> tuple[int, ...]:
    return (
        *(counts.requests, counts.prompt_tokens, counts.cached_tokens),
        *(counts.completion_tokens, counts.tokens, counts.pages),
    )
