"""`make bench-chat`: what takes twenty minutes does not fail in its last second. The same ends, on invented rounds."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from matplotlib import font_manager

from src.bench.figures import Round
from src.bench.http import ServerAddress
from src.bench.stream import Outcome
from src.bench.target import BenchTarget
from src.bench.workloads import Workload
from tests.bench.chat import __main__ as bench
from tests.bench.chat import alone, machine, rounds, servers
from tests.bench.chat.alone import Found, Joined, longest
from tests.bench.chat.plan import FULL, MIXED, PEERS, QUICK, SHARED, SINGLE, UNIFORM, WANTED, Alone, Rounds
from tests.bench.chat.rounds import LIMIT, OURS, Table, of_rate
from tests.bench.chat.servers import Bare, Gone, peer_name
from tests.bench.chat.tables import Results, markdown


def a_round(rate: float, first: float = 0.1) -> Round:
    return Round(rate, first, first, 0.005, 0.01, 0.02, 64, 75, 0, 0, {})


def invented(model: Path, plan: Rounds, library: Path | None, table: Table, notes: list[str]) -> None:
    """A table as a run makes it: ours twice as fast as each peer, at nine tenths of the limit."""
    for work, count in plan:
        if not (work.shared or work.mixed):
            table[work, LIMIT] = {at: of_rate(10.0) for at in range(count)}
        table[work, OURS] = {at: a_round(9.0, 0.1) for at in range(count)}
        for name in PEERS:
            table[work, peer_name(name, fast=library is not None)] = {at: a_round(4.5, 0.2) for at in range(count)}


def invented_alone(model: Path, plan: Alone, found: Found, notes: list[str]) -> None:
    found.joined.append(Joined(0.05, 0.5, 0.4, 0.05))
    found.forms.append((100.0, 90.0))
    found.queues.update({16: [a_round(100.0)], 128: [a_round(125.0)]})


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A page to write to; nothing is started."""
    font_manager.findfont("DejaVu Sans")  # with a cold cache it runs a program
    file = tmp_path / "performance.md"
    file.write_text("# Before\n\n<!-- chat -->\nold\n<!-- /chat -->\n\nAfter.\n")
    (tmp_path / "bench").mkdir()
    monkeypatch.setattr(bench, "FOLDER", tmp_path / "bench")
    monkeypatch.setattr(bench, "_DOCS", file)
    monkeypatch.setattr(bench, "make_peers", lambda: None)
    monkeypatch.setattr(bench, "fast_blas", lambda: Path("/lib/libopenblas.so.0"))
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: None)
    monkeypatch.setattr(machine, "described", lambda *_: ["a machine"])
    monkeypatch.setattr(rounds, "run", invented)
    monkeypatch.setattr(alone, "run", invented_alone)
    return file


def test_a_run_ends_in_tables_a_picture_and_the_page(page: Path) -> None:
    bench.write(bench.run(QUICK))
    text = page.read_text()
    assert text.startswith("# Before")
    assert text.endswith("<!-- /chat -->\n\nAfter.\n")
    assert "old" not in text
    assert "* a machine" in text
    assert "| 32 streams, 75 + 64 | limit |" in text
    assert page.with_suffix(".png").stat().st_size > 5000


def test_what_was_measured_is_kept_when_a_run_fails(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tables until then lie in the folder; the page stays as it is."""

    def fails(*_: object) -> None:
        raise Gone("stoker went away")

    monkeypatch.setattr(alone, "run", fails)
    monkeypatch.setattr(sys, "argv", ["bench", "--quick", "--write"])
    with pytest.raises(SystemExit, match="went away"):
        bench.main()
    assert "| 32 streams, 75 + 64 | limit |" in (page.parent / "bench" / "result.md").read_text()
    assert "old" in page.read_text()


def verdicts(results: Results) -> dict[str, list[str]]:
    """Cells of the first table by workload."""
    lines = markdown(results, []).partition("\n\n")[0].splitlines()[2:]
    return {cells[0]: cells[1:] for cells in ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)}


def test_verdicts() -> None:
    """Met, missed, and what was not measured."""
    results = Results()
    invented(Path(), ((SINGLE, 2), (UNIFORM[3], 1), (SHARED, 1), (MIXED, 1)), Path(), results.fast, [])
    invented(Path(), ((SINGLE, 1), (UNIFORM[3], 1)), None, results.installed, [])
    found = verdicts(results)
    assert set(found) == {SINGLE.name, UNIFORM[3].name, SHARED.name}
    assert found[SINGLE.name][0] == "9 (9–9)"
    assert found[SINGLE.name][1] == "0.90 (0.90–0.90)× (≥ 0.75)"
    assert found[SINGLE.name][-1] == "yes"
    assert found[UNIFORM[3].name][2] == "2.00× (≥ 8 ✗)"
    assert found[UNIFORM[3].name][-2:] == ["0.50× (≤ 0.75); 0.50× (≤ 0.75)", "no"]
    assert found[SHARED.name][2:4] == ["? (≥ 5)", "2.00× (≥ 1)"]
    assert found[SHARED.name][-1] == "no"  # mlx_vlm


def test_something_is_wanted_of_every_workload_but_the_mixed() -> None:
    assert {work for work, _ in FULL.fast} - set(WANTED) == {MIXED}


def test_what_only_this_service_is_asked() -> None:
    found = Found()
    invented_alone(Path(), QUICK.alone, found, [])
    text = " ".join(alone.lines(found))
    assert "longest gap is 0.500 s while it is computed, 0.050 s before" in text
    assert "the gap is 111% of both" in text
    assert "cost 10% of the throughput" in text
    assert "16: 10.00, 128: 8.00. From 16 to 128 it is 0.80×" in text
    assert alone.lines(Found()) == []


def test_gaps_within() -> None:
    """Those that reach into the time; others not."""
    one = Outcome(first=1.0, gaps=[1.0, 3.0, 0.5])  # tokens at 1, 2, 5, 5.5
    assert [longest([one], *span) for span in ((0, 1.5), (2.5, 3), (5.2, 6), (6, 7))] == [1.0, 3.0, 0.5, 0.0]
    silent = Outcome(first=1.0, gaps=[4.5])  # the same tokens, in two characters
    assert longest([one, one, silent], 0, 6) == 3.0


class _Bare(Bare):
    def __init__(self) -> None:
        """No process."""

    def rate(self, work: object) -> float:
        return 10.0


class _Server(BenchTarget):
    """Answers a number of rounds, then fails."""

    def round(self, work: object, at: int) -> Round:
        found = a_round(5.0)
        if at >= int(self.model):
            found.failures["broken off"] = 3
        return found


def test_a_peer_that_fails_is_left_out_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others go on; rounds are still compared with those it was in."""
    where = ServerAddress("127.0.0.1", 1)

    @contextlib.contextmanager
    def three(*_: object) -> Iterator[tuple[list[BenchTarget], Bare]]:
        yield [_Server(OURS, where, "9"), _Server("a", where, "9"), _Server("b", where, "1")], _Bare()

    monkeypatch.setattr(rounds, "servers", three)
    table: Table = {}
    notes: list[str] = []
    rounds.run(Path(), ((SINGLE, 3), (MIXED, 1)), None, table, notes)
    assert {key: len(found) for key, found in table.items()} == {
        (SINGLE, LIMIT): 3,
        (SINGLE, OURS): 3,
        (SINGLE, "a"): 3,
        (SINGLE, "b"): 1,
        (MIXED, OURS): 1,
        (MIXED, "a"): 1,
    }
    assert notes == ["b is left out from “1 stream, 75 + 64” on: {'broken off': 3}"]


@pytest.mark.parametrize(
    ("code", "said"),
    [("raise SystemExit('no such model')", "ended with 1"), ("import time; time.sleep(60)", "did not")],
)
def test_a_peer_that_does_not_come(code: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its last words are in the message, and it is ended."""
    started: list[subprocess.Popen[bytes]] = []

    def start(command: list[str], **options: object) -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen([sys.executable, "-c", f"print('hello', flush=True); {code}"], **options))  # type: ignore[call-overload]
        return started[0]

    monkeypatch.setattr(servers, "FOLDER", tmp_path)
    monkeypatch.setattr(servers, "_READY_S", 1.0)
    monkeypatch.setattr(servers, "subprocess", Fake(start))
    with pytest.raises(Gone, match=said) as gone, servers.peer("mlx_lm", tmp_path, None):
        pass
    assert "hello" in str(gone.value)
    assert started[0].poll() is not None


class Fake:
    """`subprocess` with another Popen."""

    TimeoutExpired = subprocess.TimeoutExpired

    def __init__(self, popen: object) -> None:
        self.Popen = popen


def test_peers_that_cannot_be_installed_are_a_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(command: list[str], **_: object) -> None:
        raise subprocess.CalledProcessError(1, command)

    monkeypatch.setattr(servers, "VENV", tmp_path)
    monkeypatch.setattr(subprocess, "run", fail)
    with pytest.raises(Gone, match="cannot be made"):
        servers.make_peers()
    assert not (tmp_path / "made").exists()


def test_the_bare_model_answers_by_the_line(random_model: Path) -> None:
    """The process behind the limit, on a small model."""
    with servers.bare(random_model) as limit:
        seconds = limit.seconds(2, 40, 3)
        assert 0 < seconds.chunk <= seconds.prefill
        assert seconds.decode > 0
        assert limit.rate(Workload(2, 20, 2)) > 0
        process = limit.process
    assert process.poll() is not None
