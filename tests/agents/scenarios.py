"""What each agent must be able to do here. A scenario raises AssertionError with what was seen instead.

Most run over the scripted model (`tests/agents/script.py`); those of `FAKE` over the engine `fake`, of `MLX` over mlx.
"""

from __future__ import annotations

import hashlib
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.agents import agent as agents
from tests.agents.agent import Agent, Outcome, Place, Process, Turn
from tests.agents.mcp_server import WORD
from tests.agents.recorder import Exchange, Recorder
from tests.agents.script import BIG_FILES
from tests.agents.upstream import Scripted
from tests.e2e import pictures
from tests.running import Running
from tests.unit.ocr import files

LETTERS = 150
_BIG = "".join(f"line {number}: the quick brown fox jumps over the lazy dog\n" for number in range(700))
_KILL_S = 60.0
_KILL_TURNS = 3
_MLX_S = 600.0  # ten thousands of tokens on a CPU


@dataclass
class Bench:
    """One scenario's session: the agent, its folder, the proxy before the service, and what is beneath."""

    agent: Agent
    place: Place
    recorder: Recorder
    running: Running
    scripted: Scripted = field(default_factory=Scripted)

    def file(self, name: str, data: bytes) -> Path:
        path = self.place.work / name
        path.write_bytes(data)
        return path

    def start(
        self, prompt: str, *, resumed: bool = False, files: tuple[Path, ...] = (), streamed: bool = True
    ) -> Process:
        return agents.start(self.agent, self.place, Turn(prompt, resumed, files, streamed))

    def ask(self, prompt: str, **turn: object) -> Outcome:
        """A whole turn that must succeed."""
        outcome = self.start(prompt, **turn).wait()  # type: ignore[arg-type]
        self.check_whole(outcome)
        return outcome

    def check_whole(self, outcome: Outcome) -> None:
        """The agent ended well, and was refused nothing."""
        refused = [f"{one.status} {one.path}: {one.answer[:300]!r}" for one in self.recorder.refused()]
        assert not refused, f"refused: {refused}"
        assert outcome.status == 0, f"exit status {outcome.status}: {outcome.printed[-600:]}"


def expect(text: str, outcome: Outcome) -> None:
    assert text in outcome.said, f"not {text!r}, but: {outcome.said[-300:]!r} / {outcome.printed[-500:]!r}"


def chat(bench: Bench) -> None:
    expect("Hello from the script", bench.ask("[[chat]] Say hello.", streamed=False))


def streamed(bench: Bench) -> None:
    expect("Hello from the script", bench.ask("[[chat]] Say hello."))
    assert any("event-stream" in one.kind for one in bench.recorder.generations()), "nothing was streamed"


def tools(bench: Bench) -> None:
    """Reads a file and edits it."""
    notes = bench.file("notes.txt", b"first\nalpha\nlast\n")
    if bench.agent.name == "aider":
        bench.ask("[[blocks]] Replace alpha by omega in notes.txt.")
    else:
        expect("The file said alpha.", bench.ask(f"[[tools]] In {notes} replace alpha by omega."))
    assert notes.read_text() == "first\nomega\nlast\n", notes.read_text()


def mcp(bench: Bench) -> None:
    expect(WORD, bench.ask("[[mcp]] Ask the harbour's tool for its secret word."))


def resume(bench: Bench) -> None:
    bench.ask("[[chat]] Say hello.")
    expect("I remember the greeting.", bench.ask("[[recall]] What was said before?", resumed=True))


def picture(bench: Bench) -> None:
    """A picture reaches the model; agents that read files by tools are told its path."""
    data = pictures.line("HARBOUR")
    path = bench.file("pier.png", data)
    outcome = _ask_about(bench, path)
    seen = hashlib.sha256(data).hexdigest()[:8]
    expect("I see picture", outcome)
    if bench.agent.name != "claude-code":  # it may make pictures smaller
        expect(seen, outcome)


def pdf(bench: Bench) -> None:
    path = bench.file("bill.pdf", files.pdf(["INVOICE 4711 of the harbour office for berth 12"]))
    expect("INVOICE 4711", _ask_about(bench, path))


def _ask_about(bench: Bench, path: Path) -> Outcome:
    attached = () if bench.agent.name == "claude-code" else (path,)
    return bench.ask(f"[[attached]] What is in {path}?", files=attached)


def overflow(bench: Bench) -> None:
    """The history outgrows the context; the agent shortens it and goes on. A refusal is how some of them know."""
    path, *_ = _big_files(bench)
    outcome = bench.start(f"[[overflow]] Read {path} and the others.").wait(300)
    expect("Healed", outcome)
    assert outcome.status == 0, f"exit status {outcome.status}: {outcome.printed[-600:]}"


def overflow_unknown(bench: Bench) -> None:
    """The same, with an agent that believes in a larger context: it learns of the end from the refusal alone.

    Some end their turn with it, or exit with a status; the session must go on, at the latest when it is resumed.
    """
    path, *_ = _big_files(bench)
    outcome = bench.start(f"[[overflow]] Read {path} and the others.").wait(300)
    assert any(one.status == 400 or b"context_length" in one.answer for one in bench.recorder.generations())
    if "Healed" not in outcome.said:
        outcome = bench.start("Go on.", resumed=True).wait(300)
    expect("Healed", outcome)


def _big_files(bench: Bench) -> list[Path]:
    return [bench.file(f"big{at}.txt", f"file {at}\n{_BIG}".encode()) for at in range(BIG_FILES)]


def killed_before(bench: Bench) -> None:
    """The engine is killed while the model is silent."""
    process = bench.start("[[slow]] Say something.")
    assert bench.scripted.waiting.wait(_KILL_S), "the model was never asked"
    _kill_engine(bench)
    _check_unnoticed(bench, process.wait(), "The slow answer is whole.")


def killed_in_stream(bench: Bench) -> None:
    """The engine is killed in the middle of an answer."""
    process = bench.start(f"fake:count={LETTERS} fake:delay=0.03")
    _await_answer(bench)
    _kill_engine(bench)
    _check_unnoticed(bench, process.wait(), "".join("abcdefghijklmnopqrstuvwxyz"[at % 26] for at in range(LETTERS)))


def shapes(bench: Bench) -> None:
    """A session of two turns with a real model: whatever it says, the agent takes it."""
    bench.check_whole(bench.start("Hello, who are you?").wait(_MLX_S))
    bench.check_whole(bench.start("And what can you do?", resumed=True).wait(_MLX_S))


def killed_over_mlx(bench: Bench) -> None:
    """The engine is killed in the middle of a real model's answer; a turn whose answer ended before is tried again."""
    for turn in range(_KILL_TURNS):
        begun, resumed = len(bench.recorder.generations()), _resumed(bench)
        process = bench.start(f"Tell me story number {turn}, a long one.")
        if _is_answering(bench, begun):
            _kill_engine(bench)
        bench.check_whole(process.wait(_MLX_S))
        _check_asked_once(bench, begun)
        if _resumed(bench) > resumed:
            return
    raise AssertionError(f"in {_KILL_TURNS} turns no answer was running when the engine was killed")


def _resumed(bench: Bench) -> float:
    lines = bench.running.get("/metrics")[1].decode().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith("stoker_requests_resumed_total"))


def _is_answering(bench: Bench, begun: int) -> bool:
    """Whether an answer to the agent's turn has begun, within the time for its prompt."""
    began = time.monotonic()
    while time.monotonic() - began < _MLX_S / 4:
        if any(one.answer.count(b"data:") > 8 for one in bench.recorder.generations()[begun:]):
            return True
        time.sleep(0.02)
    return False


def _await_answer(bench: Bench) -> None:
    began = time.monotonic()
    while time.monotonic() - began < _KILL_S:
        if any(one.answer.count(b"data:") > 20 for one in bench.recorder.generations()):
            return
        time.sleep(0.02)
    raise AssertionError("no answer began")


def _kill_engine(bench: Bench) -> None:
    os.kill(bench.running.pid("engine"), signal.SIGKILL)


def _check_unnoticed(bench: Bench, outcome: Outcome, text: str) -> None:
    bench.check_whole(outcome)
    expect(text, outcome)
    _check_asked_once(bench)


def _check_asked_once(bench: Bench, begun: int = 0) -> None:
    prompts = [_last_prompt(one) for one in bench.recorder.generations()[begun:]]
    assert len(prompts) == len(set(prompts)), "the agent asked again"


def _last_prompt(exchange: Exchange) -> bytes:
    return hashlib.sha256(exchange.body).digest()


SCRIPTED: dict[str, Callable[[Bench], None]] = {
    "chat": chat,
    "streamed chat": streamed,
    "tool loop": tools,
    "MCP tool": mcp,
    "resume": resume,
    "picture": picture,
    "PDF": pdf,
    "killed before the answer": killed_before,
}
OVERFLOW: dict[str, Callable[[Bench], None]] = {
    "context overflow": overflow,
    "context overflow, unknown": overflow_unknown,
}
FAKE: dict[str, Callable[[Bench], None]] = {"killed in the answer": killed_in_stream}
MLX: dict[str, Callable[[Bench], None]] = {"shapes over mlx": shapes}
MLX_LONG: dict[str, Callable[[Bench], None]] = {"killed in the answer over mlx": killed_over_mlx}
