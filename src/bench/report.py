"""What was measured, for people and for programs. Pure."""

from __future__ import annotations

import os
import platform
from collections import Counter
from collections.abc import Iterator, Sequence

import msgspec

from src.bench.figures import Round, ratios, shown
from src.bench.workloads import Workload
from src.supervisor.table import align

_HEAD = ("SERVER", "TOKENS/S", "RATIO", "FIRST TOKEN p50", "p95", "BETWEEN TOKENS p50", "p95", "LONGEST", "FAILED")
_PROBLEMS = 5  # kinds of failure that are named for each server


class Result(msgspec.Struct):
    """One server's rounds of one workload, of so many `requests` each. Seconds, tokens a second."""

    workload: str
    streams: int
    requests: int
    server: str
    rounds: list[Round]


class Report(msgspec.Struct):
    """`load` is that of the machine that asked, over the last minute, before and after. `noise`: a core was busy."""

    machine: str
    load: tuple[float, float]
    models: dict[str, str]
    notes: dict[str, list[str]]
    results: list[Result]
    noise: bool = False


def machine() -> str:
    """The one that asks: whatever else it does is in the figures, too."""
    return f"{platform.machine()}, {os.cpu_count()} cores, {platform.platform()}"


def render(report: Report, works: Sequence[Workload]) -> str:
    """A table for each workload, then what a reader must know."""
    servers = [f"{name}: {model}" for name, model in report.models.items()]
    before, after = report.load
    noise = ", one core kept busy (--noise)" if report.noise else ""
    head = [f"{report.machine}, load {before:.1f} before, {after:.1f} after{noise}", *servers]
    tables = [_table(work.name, [r for r in report.results if r.workload == work.name]) for work in works]
    remarks = [f"{name}: {note}" for name, notes in report.notes.items() for note in notes] + list(_remarks(report))
    last = "Tokens/s: output tokens from the first request to the last token. Times in seconds. Medians (ranges)."
    return "\n\n".join(filter(None, ("\n".join(head), *tables, "\n".join([*remarks, last]))))


def _table(name: str, results: list[Result]) -> str:
    rows = [row for result in results for row in _rows(result, results[0])]
    return f"{name}\n{align([_HEAD, *rows])}"


def _rows(result: Result, first: Result) -> list[tuple[str, ...]]:
    """The first round has a row of its own: memory that was never touched, and caches that are empty, are in it."""
    if len(result.rounds) == 1:
        return [_row(result.server, result, first, slice(None))]
    warm = _row(result.server, result, first, slice(1, None))
    return [warm, _row(f"{result.server}, first round", result, first, slice(1))]


def _row(name: str, result: Result, first: Result, which: slice) -> tuple[str, ...]:
    rounds = result.rounds[which]
    rates = [one.rate for one in rounds]
    against = "" if result is first else f"{shown(ratios(rates, [one.rate for one in first.rounds[which]]), 2)}×"
    failed = sum(sum(one.failures.values()) for one in rounds)
    return (
        name,
        shown(rates, 1),
        against,
        shown([one.first_p50 for one in rounds], 3),
        shown([one.first_p95 for one in rounds], 3),
        shown([one.gap_p50 for one in rounds], 3),
        shown([one.gap_p95 for one in rounds], 3),
        shown([one.gap_max for one in rounds], 3),
        f"{failed} of {result.requests * len(rounds)}" if failed else "0",
    )


def _remarks(report: Report) -> Iterator[str]:
    """Failures in the server's words, answers that ended early, and how long the prompts came out."""
    for name in report.models:
        rounds = [one for result in report.results if result.server == name for one in result.rounds]
        failures = sum((Counter(one.failures) for one in rounds), Counter())
        yield from (f"{name}: {count} failed: {why}" for why, count in failures.most_common(_PROBLEMS))
        if early := sum(one.early for one in rounds):
            yield f"{name}: {early} answers ended before the length that was asked for"
        if sizes := [one.prompt for one in rounds if one.prompt is not None]:
            span = f"{min(sizes)}" if min(sizes) == max(sizes) else f"{min(sizes)}–{max(sizes)}"
            yield f"{name}: prompts of {span} tokens by its own count (medians of rounds)"
