"""`make test-architectures`: a tiny random checkpoint of every architecture of mlx-lm and mlx-vlm through the engine.

Worker processes take one name after the other, each with a deadline; one that hangs or dies is replaced. Prints a line
each and writes docs/architectures.md (`--write`); ends with 1 if one is wrong.
"""

from __future__ import annotations

import argparse
import selectors
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from tests.architectures import report
from tests.architectures.report import PROBLEMS, Verdict


class Worker:
    """A process that examines architectures."""

    def __init__(self, deadline_s: float, base: Path, folder: Path) -> None:
        self._deadline_s = deadline_s
        self._command = [sys.executable, "-m", "tests.architectures.worker", str(base), str(folder)]
        self._process: subprocess.Popen[str] | None = None

    def examine(self, name: str) -> Verdict:
        process = self._process = self._process or self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        with suppress(BrokenPipeError):
            process.stdin.write(f"{name}\n")
            process.stdin.flush()
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            line = process.stdout.readline() if selector.select(self._deadline_s) else None
        if line:
            return Verdict.parse(line)
        self.close()
        why = f"no result in {self._deadline_s:g} s" if line is None else f"its process ended with {process.returncode}"
        return Verdict(name, "slow" if line is None else "died", why)

    def _start(self) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        return subprocess.Popen(self._command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True)

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
        self._process = None


def _examined(names: list[str], jobs: int, deadline_s: float) -> Iterator[Verdict]:
    from training.demo.checkpoint import write_random_checkpoint

    with tempfile.TemporaryDirectory() as place, ThreadPoolExecutor(jobs) as pool:
        base = Path(place) / "base"
        write_random_checkpoint(base)
        local, workers = threading.local(), list[Worker]()

        def examine(name: str) -> Verdict:
            if not hasattr(local, "worker"):
                local.worker = Worker(deadline_s, base, Path(place))
                workers.append(local.worker)
            worker: Worker = local.worker
            return worker.examine(name)

        try:
            yield from pool.map(examine, names)
        finally:
            for worker in workers:
                worker.close()


def _names(kind: str) -> list[str]:
    from tests.architectures import tiny
    from tests.architectures.vision import tiny as seeing

    text = tiny.names() if kind != "vision" else []
    return text + ([f"{report.VISION}{name}" for name in seeing.names()] if kind != "text" else [])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="as `llama` or `vision/qwen2_vl`; all without")
    parser.add_argument("--kind", choices=("text", "vision", "all"), default="all", help="which to try without names")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--deadline", type=float, default=180.0, help="seconds for one of them")
    parser.add_argument("--write", action="store_true", help="write docs/architectures.md")
    asked = parser.parse_args()
    from src.gpu import blas

    blas.preload()  # before anything imports MLX
    found = []
    for verdict in _examined(asked.names or _names(asked.kind), asked.jobs, asked.deadline):
        found.append(verdict)
        sys.stdout.write(verdict.line() + "\n")
        sys.stdout.flush()
    counts = Counter(verdict.kind for verdict in found)
    sys.stdout.write(", ".join(f"{kind} {count}" for kind, count in counts.most_common()) + "\n")
    if asked.write:
        from tests.architectures.vision import tiny

        report.write(found, tiny.untried())
    return int(any(counts[problem] for problem in PROBLEMS))


if __name__ == "__main__":
    sys.exit(main())
