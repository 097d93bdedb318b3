"""How much of the code one streamed chat runs through: `python -m tests.trace`.

Starts the service with the demo model, streams one answer to see everything loaded, then notes every function of src/
that a second one calls in web and engine. Prints a line per file and the sums; exits with 1 beyond the house's limits.
"""

from __future__ import annotations

import ast
import json
import os
import signal
import sys
import tempfile
import time
from collections import defaultdict
from http.client import HTTPConnection
from pathlib import Path

from src.settings import ROOT
from tests.running import Running, service

MOST_FILES = 25
MOST_LINES = 2000
_WRITTEN_S = 30.0


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="stk-trace-") as folder:
        os.environ |= {"PYTHONPATH": str(Path(__file__).parent), "STOKER_TRACE_DIR": folder}
        with service() as running:
            _chat(running)
            processes = [process.pid for process in running.processes() if _has_hook(process.cmdline())]
            _switch(processes)
            _chat(running)
            _switch(processes)
            called = _read(Path(folder), len(processes))
    return _report(called)


def _has_hook(command: list[str]) -> bool:
    """Web's worker and master, and the engine."""
    return "src.engine.main" in command or any("gunicorn" in word for word in command)


def _chat(running: Running) -> None:
    body = {"messages": [{"role": "user", "content": "How do I start it?"}], "stream": True, "max_tokens": 16}
    data = json.dumps(body).encode()
    connection = HTTPConnection("127.0.0.1", running.port, timeout=60)
    try:
        connection.request("POST", "/v1/chat/completions", data, {"Content-Type": "application/json"})
        assert connection.getresponse().read().endswith(b"data: [DONE]\n\n")
    finally:
        connection.close()


def _switch(pids: list[int]) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGRTMIN)
    time.sleep(0.5)  # each runs its handler between two bytecodes


def _read(folder: Path, count: int) -> set[tuple[Path, int]]:
    deadline = time.monotonic() + _WRITTEN_S
    while len(files := list(folder.glob("functions.*"))) < count and time.monotonic() < deadline:
        time.sleep(0.1)
    assert len(files) == count, f"{len(files)} of {count} processes told what they called"
    lines = [line for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    return {(Path(name), int(number)) for name, _, number in (line.rpartition(":") for line in lines)}


def functions(file: Path) -> dict[int, int]:
    """Lines of each function of a file, by the line it begins in, decorators included."""
    found = {}
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
            found[first] = (node.end_lineno or first) - first + 1
    return found


def _report(called: set[tuple[Path, int]]) -> int:
    by_file: dict[Path, list[int]] = defaultdict(list)
    for file, line in called:
        if line in (known := functions(file)):
            by_file[file].append(known[line])
    for file, sizes in sorted(by_file.items()):
        sys.stdout.write(f"{sum(sizes):5} {len(sizes):4}  {file.relative_to(ROOT)}\n")
    files, lines = len(by_file), sum(map(sum, by_file.values()))
    sys.stdout.write(f"{files} files, {sum(map(len, by_file.values()))} functions, {lines} lines\n")
    return int(files > MOST_FILES or lines > MOST_LINES)


if __name__ == "__main__":
    sys.exit(main())
