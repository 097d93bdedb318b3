"""How much of the code one streamed chat runs through: `python -m tests.trace`.

Starts the service with the demo model, streams one answer to see everything loaded, then counts the calls of every
function of src/ in web and engine while some more are streamed, one behind the other. What is called once a chat at
least is on its way; probes, heartbeats and memory readings come once a second and stay below that. Prints a line per
file and the sums; exits with 1 beyond the house's limits.
"""

from __future__ import annotations

import ast
import json
import os
import signal
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from http.client import HTTPConnection
from itertools import chain
from pathlib import Path

from src.settings import ROOT
from tests.running import Running, service

MOST_FILES = 95  # a ratchet: docs/adr/0026
MOST_LINES = 4500
_WRITTEN_S = 30.0
_CHATS = 40  # many more than the seconds they take

Place = tuple[Path, int]  # a function's file and first line


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="stk-trace-") as folder:
        os.environ |= {"PYTHONPATH": str(Path(__file__).parent), "STOKER_TRACE_DIR": folder}
        with service() as running:
            _chat(running)
            processes = [process.pid for process in running.processes() if _has_hook(process.cmdline())]
            called = _calls(processes, Path(folder), lambda: _chat(running, _CHATS))
    return _report({place for place, count in called.items() if count >= _CHATS})


def _has_hook(command: list[str]) -> bool:
    """Web's worker and master, and the engine."""
    return "src.engine.main" in command or any("gunicorn" in word for word in command)


def _chat(running: Running, times: int = 1) -> None:
    body = {"messages": [{"role": "user", "content": "How do I start it?"}], "stream": True, "max_tokens": 16}
    data = json.dumps(body).encode()
    for _ in range(times):
        connection = HTTPConnection("127.0.0.1", running.port, timeout=60)
        try:
            connection.request("POST", "/v1/chat/completions", data, {"Content-Type": "application/json"})
            assert connection.getresponse().read().endswith(b"data: [DONE]\n\n")
        finally:
            connection.close()


def _calls(pids: list[int], folder: Path, work: Callable[[], None]) -> Counter[Place]:
    """How often each function was called in these processes while `work` ran."""
    _switch(pids)
    work()
    _switch(pids)
    deadline = time.monotonic() + _WRITTEN_S
    while len(files := list(folder.glob("functions.*"))) < len(pids) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert len(files) == len(pids), f"{len(files)} of {len(pids)} processes told what they called"
    called: Counter[Place] = Counter()
    for file in files:
        for line in file.read_text(encoding="utf-8").splitlines():
            count, name, number = line.split("\t")
            called[Path(name), int(number)] += int(count)
        file.unlink()
    return called


def _switch(pids: list[int]) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGRTMIN)
    time.sleep(0.5)  # each runs its handler between two bytecodes


def functions(file: Path) -> dict[int, range]:
    """The lines of each function of a file, by the one it begins in, decorators included."""
    found = {}
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
            found[first] = range(first, (node.end_lineno or first) + 1)
    return found


def _report(called: set[Place]) -> int:
    by_file: dict[Path, list[range]] = defaultdict(list)
    for file, line in called:
        if line in (known := functions(file)):
            by_file[file].append(known[line])
    lines = {file: len(set(chain(*spans))) for file, spans in by_file.items()}  # one inside another counts once
    for file, spans in sorted(by_file.items()):
        sys.stdout.write(f"{lines[file]:5} {len(spans):4}  {file.relative_to(ROOT)}\n")
    total = sum(lines.values())
    sys.stdout.write(f"{len(by_file)} files, {sum(map(len, by_file.values()))} functions, {total} lines\n")
    return int(len(by_file) > MOST_FILES or total > MOST_LINES)


if __name__ == "__main__":
    sys.exit(main())
