"""`make bench-chat`: interleaved rounds of all servers, the bare model's limit between them; tables and a picture.

`--quick` takes about 19 minutes on two idle cores and leaves the slowest out; the whole takes hours. The result lies
in `.bench/`, also that of a run which was broken off; `--write` puts a whole one into docs/performance.md.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

from src.bench.noise import busy_core
from src.settings import ROOT
from tests.bench.chat import alone, chart, machine, rounds, tables
from tests.bench.chat.plan import FULL, QUICK, TRY, Plan
from tests.bench.chat.servers import FOLDER, Gone, fast_blas, make_peers
from tests.bench.chat.tables import Results

_DOCS = ROOT / "docs" / "performance.md"
_MARKS = ("<!-- chat -->", "<!-- /chat -->")
_MODELS_S = 1800.0


def measure(plan: Plan, library: Path | None, results: Results) -> None:
    """Everything, the comparison with our BLAS first; without a BLAS to load (macOS) the peers are as installed."""
    rounds.run(FOLDER / "fp32", plan.fast, library, results.fast, results.notes)
    if library is not None:
        rounds.run(FOLDER / "fp32", plan.installed, None, results.installed, results.notes)
    if plan.small:
        rounds.run(FOLDER / "4bit", plan.small, library, results.small, results.notes)
    alone.run(FOLDER / "fp32", plan.alone, results.alone, results.notes)


def keep(results: Results, library: Path | None, before: float) -> str:
    """The text, also in `.bench/result.md`, and the picture beside it."""
    text = tables.markdown(results, machine.described(library, before))
    (FOLDER / "result.md").write_text(text, encoding="utf-8")
    chart.draw(list(tables.curves(results.fast)), FOLDER / "result.png")
    return text


def write(text: str) -> None:
    """Between the marks of docs/performance.md, the picture beside it."""
    page = _DOCS.read_text(encoding="utf-8")
    block = f"{_MARKS[0]}\n\n![scaling curves](performance.png)\n\n{text}\n{_MARKS[1]}"
    before, _, rest = page.partition(_MARKS[0])
    _DOCS.write_text(before + block + rest.partition(_MARKS[1])[2], encoding="utf-8")
    shutil.copy(FOLDER / "result.png", _DOCS.with_suffix(".png"))


def run(plan: Plan, *, noise: bool = False) -> str:
    """A whole run, with one core kept busy if `noise`. What was measured until then is kept when it ends early.

    Raises:
        Gone: our service or the bare model failed, or something that is needed is not here.
    """
    library = fast_blas()
    make_peers()
    make_models = [sys.executable, "-m", "tests.bench.chat.model", str(FOLDER)]
    subprocess.run(make_models, cwd=ROOT, check=True, timeout=_MODELS_S)
    before, results = machine.load(), Results()
    if noise:
        results.notes.append("One core was kept busy (--noise).")
    try:
        with busy_core() if noise else nullcontext():
            measure(plan, library, results)
    finally:
        text = keep(results, library, before)
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="about 19 minutes")
    parser.add_argument("--try", dest="tiny", action="store_true", help="a few minutes: whether every part works")
    parser.add_argument("--noise", action="store_true", help="keep one core busy meanwhile")
    parser.add_argument("--write", action="store_true", help="put the tables and the picture into docs/performance.md")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was started is stopped, as by ^C
    try:
        text = run(TRY if args.tiny else QUICK if args.quick else FULL, noise=args.noise)
    except Gone as error:
        sys.exit(str(error))
    if args.write:
        write(text)
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
