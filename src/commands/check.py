"""`run.py check`: what was detected here; fails when the service could not serve."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from src.commands.asking import terminal_width
from src.errors import ExitCode
from src.settings import Settings
from src.supervisor.preflight import Finding, findings
from src.supervisor.table import hang

NAME, HELP = "check", "show what was detected; fails when it cannot serve"


def configure(parser: ArgumentParser) -> None:
    """It takes no arguments."""


def run(options: Namespace, settings: Settings) -> ExitCode:
    problems = []
    for finding in findings(settings):
        print(_line(finding, terminal_width()), flush=True)
        if finding.problem:
            problems.append(finding.problem)
    print("\nReady to serve." if not problems else f"\nCannot serve: {'; '.join(problems)}")
    return ExitCode.FAILURE if problems else ExitCode.OK


def _line(finding: Finding, width: int | None) -> str:
    start = f"{'✗' if finding.problem else ' '} {finding.label:<16} "
    return hang(start, finding.value + (f"  — {finding.problem}" if finding.problem else ""), len(start), width)
