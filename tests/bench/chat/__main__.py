"""`make bench-chat`: interleaved rounds of all servers, the bare model's limit between them; tables and a picture.

`--quick` takes about twelve minutes on two idle cores and leaves the slowest out; the whole takes over an hour. The
result lies in `.bench/`; `--write` puts it into docs/performance.md.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import statistics
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from src.settings import ROOT
from tests.bench.chat import chart
from tests.bench.chat.servers import Server, make_peers, ours, peer
from tests.bench.chat.workloads import DECODE, MIXED, SHARED, SINGLE, UNIFORM, Texts, Workload

FOLDER = ROOT / ".bench"
_LIMIT = "limit"
_PEERS = ("mlx_lm", "mlx_vlm")
_DOCS = ROOT / "docs" / "performance.md"
_MARKS = ("<!-- chat -->", "<!-- /chat -->")
_ROUND_S = 1200.0


@dataclass
class Figures:
    """One server's rounds of one workload."""

    rate: list[float] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    gap: list[float] = field(default_factory=list)


Table = dict[tuple[str, str], Figures]


def ask(server: Server, bodies: list[dict[str, Any]]) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "tests.bench.chat.load", "--port", str(server.port)]
    done = subprocess.run(
        command, cwd=ROOT, input=json.dumps(bodies), capture_output=True, text=True, timeout=_ROUND_S, check=True
    )
    seen: list[dict[str, Any]] = json.loads(done.stdout)
    bad = [one for one in seen if one["status"] != 200 or one["first"] is None]
    if bad:
        raise AssertionError(f"{server.name}: {bad[0]}")
    return seen


def round_of(server: Server, work: Workload, texts: Texts, figures: Figures, at: int = 0) -> None:
    """One round: output tokens a second from the first request to the last token, first tokens, longest gap."""
    bodies = texts.bodies(work, server.model, at)
    if work.shared:
        ask(server, [bodies.pop()])
    seen = ask(server, bodies)
    figures.rate.append(sum(body["max_tokens"] for body in bodies) / max(one["last"] for one in seen))
    firsts = sorted(one["first"] for one in seen)
    figures.first.append(firsts[min(len(firsts) - 1, int(0.95 * len(firsts)))])
    figures.gap.append(max(one["gap"] for one in seen))


def limit(model: Path, work: Workload, figures: Figures) -> None:
    command = [sys.executable, "-m", "tests.bench.chat.limit", "--model", str(model)]
    command += ["--rows", str(work.streams), "--prompt", str(work.prompt), "--tokens", str(work.tokens)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=_ROUND_S, check=True)
    figures.rate.append(work.streams * work.tokens / float(done.stdout.split()[-1]))


def rounds(model: Path, servers: Sequence[Server], work: Workload, count: int, table: Table) -> None:
    """Each round asks every server and the bare model once, so that a change of the machine's load meets all."""
    texts = Texts(model, seed=work.streams * 1000 + work.tokens)
    for at in range(count):
        if not (work.shared or work.mixed):
            limit(model, work, table.setdefault((work.name, _LIMIT), Figures()))
        for server in (*servers[at % len(servers) :], *servers[: at % len(servers)]):
            round_of(server, work, texts, table.setdefault((work.name, server.name), Figures()), at)
        sys.stderr.write(f"{work.name}: round {at + 1} of {count}\n")


def shown(values: list[float], digits: int = 0) -> str:
    """The median, with the range when there is one."""
    text = f"{statistics.median(values):.{digits}f}"
    return text if len(values) < 2 else f"{text} ({min(values):.{digits}f}–{max(values):.{digits}f})"


def ratio(ours_: list[float], theirs: list[float]) -> str:
    """Ours to theirs, pair by pair of the same round."""
    return f"{shown([a / b for a, b in zip(ours_, theirs, strict=True)], 2)}×"


def markdown(table: Table, title: str) -> str:
    """Output tokens a second, how ours compares, and first tokens."""
    lines = [f"### {title}", "", "| Workload | | tokens/s | stoker is | first token p95, s | longest gap, s |"]
    lines.append("|---|---|---|---|---|---|")
    for (work, name), figures in table.items():
        mine = table.get((work, "stoker"))
        against = ratio(mine.rate, figures.rate) if mine is not None and name != "stoker" else ""
        first = shown(figures.first, 2) if figures.first else ""
        gap = shown(figures.gap, 2) if figures.gap else ""
        lines.append(f"| {work} | {name} | {shown(figures.rate)} | {against} | {first} | {gap} |")
    return "\n".join(lines) + "\n"


def run(model: Path, plan: Sequence[tuple[Workload, int]], *, fast: bool, peers: Sequence[str]) -> Table:
    table: Table = {}
    with ExitStack() as stack:
        servers = [stack.enter_context(ours(model))]
        servers += [stack.enter_context(peer(module, model, fast=fast)) for module in peers]
        for server in servers:
            round_of(server, SINGLE, Texts(model, seed=99), Figures())  # warm
        for work, count in plan:
            rounds(model, servers, work, count, table)
    return table


def tables(*, quick: bool) -> str:
    """Everything, at the chosen length."""
    count, some, heavy = (3, 2, 1) if quick else (5, 5, 3)
    plan = [*[(w, count) for w in UNIFORM], (SHARED, some), (MIXED, heavy), *[(w, heavy) for w in DECODE]]
    table = run(FOLDER / "fp32", plan, fast=True, peers=_PEERS)
    chart.draw({key: figures.rate for key, figures in table.items()}, FOLDER / "result.png")
    parts = [markdown(table, "fp32, OpenBLAS in all")]
    installed = UNIFORM[:2] if quick else (*UNIFORM, SHARED)
    slow = run(FOLDER / "fp32", [(w, 1) for w in installed], fast=False, peers=_PEERS)
    parts.append(markdown(slow, "fp32, the peers as installed (reference BLAS)"))
    if not quick:
        small = run(FOLDER / "4bit", [(w, 1) for w in UNIFORM], fast=True, peers=_PEERS)
        parts.append(markdown(small, "4 bits"))
    return "\n".join(parts)


def write(text: str) -> None:
    """Between the marks of docs/performance.md, the picture beside it."""
    page = _DOCS.read_text(encoding="utf-8")
    block = f"{_MARKS[0]}\n\n![scaling curves](performance.png)\n\n{text}\n{_MARKS[1]}"
    before, _, rest = page.partition(_MARKS[0])
    _DOCS.write_text(before + block + rest.partition(_MARKS[1])[2], encoding="utf-8")
    shutil.copy(FOLDER / "result.png", _DOCS.with_suffix(".png"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="about twelve minutes")
    parser.add_argument("--try", dest="tiny", action="store_true", help="a minute or two: whether it works at all")
    parser.add_argument("--write", action="store_true", help="put the tables and the picture into docs/performance.md")
    args = parser.parse_args()
    make_peers()
    subprocess.run([sys.executable, "-m", "tests.bench.chat.model", str(FOLDER)], cwd=ROOT, check=True)
    load = psutil.getloadavg()[0]
    if args.tiny:
        found = markdown(run(FOLDER / "fp32", [(SINGLE, 1), (UNIFORM[1], 1)], fast=True, peers=_PEERS), "A try")
    else:
        found = tables(quick=args.quick)
    machine = f"{platform.machine()}, {psutil.cpu_count()} cores, {platform.platform()}, load {load:.1f} before"
    text = f"{machine}; tokens/s: output tokens from the first request to the last token; medians (ranges).\n\n{found}"
    (FOLDER / "result.md").write_text(text, encoding="utf-8")
    if args.write and not args.tiny:
        write(text)
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
