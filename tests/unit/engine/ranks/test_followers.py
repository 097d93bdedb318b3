"""Rank 0's side of the others: what it tells them, and how it finds that one is lost."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest

from src.engine.backend import Step, Token
from src.engine.fake import FakeBackend
from src.engine.ranks import follower
from src.engine.ranks import followers as module
from src.engine.ranks.backend import RankedBackend
from src.engine.ranks.followers import Followers
from src.engine.ranks.hosts import RankHost
from src.errors import ModelLoadFailed
from src.ipc.messages.chat import Sampling
from src.ipc.messages.ranks import JoinRanks, RankCommand, RankInsert, RankMove, RankRemove, RankStep, RankTidy
from src.ipc.messages.status import MemoryReading
from tests.conftest import MakeSettings

HOSTS = (RankHost("here", "127.0.0.1"), RankHost("there", "127.0.0.1"))
PATIENCE_S = 10.0


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CLOSE_S", 0.1)
    monkeypatch.setattr(module, "_HALTED_S", 0.2)
    monkeypatch.setattr(module, "_POLL_S", 0.1)


def begin(script: str) -> Followers:
    """A rank on another host, whose launcher is this script."""
    return Followers.start(HOSTS, f"sh -c '{script}'", quiet=True)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo Permission denied >&2; exit 255", "rank 1 on there did not start: Permission denied"),
        ("exit 255", "rank 1 on there did not start: status 255"),
        ("printf xxxxxxxx; sleep 9", "prints what is no message"),
    ],
)
def test_a_host_that_does_not_answer_says_why(script: str, said: str, make_settings: MakeSettings) -> None:
    followers = begin(script)
    try:
        with pytest.raises(ModelLoadFailed, match=said):
            followers.prepare("demo", make_settings())
    finally:
        followers.close()


def test_a_launcher_that_is_not_there_is_named() -> None:
    with pytest.raises(ModelLoadFailed, match="ENGINE_LAUNCHER=no-such-program"):
        Followers.start(HOSTS, "no-such-program {host}")


def lost_after(followers: Followers) -> tuple[threading.Event, list[str]]:
    found, why = threading.Event(), []

    def lost(text: str) -> None:
        why.append(text)
        found.set()

    followers.loading = False
    followers.join([JoinRanks({}, {}, 1)], lost)
    return found, why


def test_a_rank_that_exits_is_lost_at_once() -> None:
    followers = begin("exec 1>&-; exit 3")
    try:
        found, why = lost_after(followers)
        assert found.wait(PATIENCE_S)
        assert why == ["rank 1 on there exited (status 3)"]
    finally:
        followers.close()


@pytest.mark.skipif(not Path("/proc").exists(), reason="macOS reports it otherwise")
def test_a_rank_here_that_is_stopped_is_lost() -> None:
    followers = Followers.start((HOSTS[0], HOSTS[0]), "unused")
    try:
        found, why = lost_after(followers)
        os.kill(followers._members[0]._process.pid, signal.SIGSTOP)
        assert found.wait(PATIENCE_S)
        assert "said nothing for" in why[0]
    finally:
        followers.close()


def test_closing_is_no_loss() -> None:
    followers = begin("cat >/dev/null")
    found, _ = lost_after(followers)
    followers.close()
    assert not found.wait(0.3)


class Recorded(Followers):
    """Keeps what would be sent."""

    def __init__(self) -> None:
        super().__init__([])
        self.sent: list[RankCommand] = []

    def send(self, command: RankCommand) -> None:
        self.sent.append(command)


class Limited(FakeBackend):
    """Its grammars end at once."""

    def step(self, prefill: int | None = None) -> Step:
        return Step([Token(7, 1)], {}, {3: "too deep"})

    def to_host(self) -> None: ...

    def to_device(self) -> None: ...


def test_ranks_are_told_all_that_changes_their_steps(make_settings: MakeSettings) -> None:
    """And nothing of who asks, how tokens are drawn, or how an answer must look."""
    followers = Recorded()
    backend = RankedBackend(Limited("fake", make_settings()), followers, 2)
    uid = backend.insert([1, 2, 3], 9, Sampling(temperature=0.5, seed=4), salt="alice")
    first, second = backend.step(64), backend.step()
    backend.remove([uid])
    backend.tidy()
    backend.trim()
    backend.to_host()
    backend.to_device()
    assert first.failed == second.failed == {3: "too deep"}
    steps = [command for command in followers.sent if isinstance(command, RankStep)]
    assert [step.prefill for step in steps] == [64, None]
    rest = [command for command in followers.sent if not isinstance(command, RankStep)]
    assert rest[0] == RankInsert(uid, [1, 2, 3], 9, "alice")
    assert rest[1:4] == [RankRemove([3]), RankRemove([3]), RankRemove([uid])]
    assert rest[4:] == [RankTidy(evict=False), RankTidy(evict=True), RankMove("cpu"), RankMove("gpu")]
    assert (backend.info.ranks, backend.embedder, backend.scorer) == (2, None, None)


class Unlimited(Limited):
    """The same on another rank, which has no grammars."""

    def step(self, prefill: int | None = None) -> Step:
        return Step([Token(7, 1), Token(3, 5)], {}, {})


class Fine(Limited):
    """No grammar ends."""

    def step(self, prefill: int | None = None) -> Step:
        return Step([Token(7, 1)], {}, {})


def follow(commands: list[RankCommand], backend: FakeBackend) -> None:
    previous = 0
    for command in commands:
        previous = follower._handle(backend, command, previous)


def test_a_grammar_that_ends_on_rank_0_leaves_the_others_in_step(make_settings: MakeSettings) -> None:
    followers = Recorded()
    backend = RankedBackend(Limited("fake", make_settings()), followers, 2)
    backend.step()
    backend.step()
    follow(followers.sent, Unlimited("fake", make_settings()))
    assert [type(command) for command in followers.sent] == [RankStep, RankRemove] * 2


def test_a_rank_that_computes_something_else_ends(make_settings: MakeSettings) -> None:
    followers = Recorded()
    backend = RankedBackend(Fine("fake", make_settings()), followers, 2)
    backend.step()
    backend.step()
    follow(followers.sent, Fine("fake", make_settings()))
    with pytest.raises(RuntimeError, match="something else than rank 0"):
        follow(followers.sent, Unlimited("fake", make_settings()))


def test_memory_is_that_of_the_host_with_the_most(make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    followers = Recorded()
    own = Limited("fake", make_settings())
    monkeypatch.setattr(own, "memory", lambda: MemoryReading(100, mlx_active_bytes=5))
    backend = RankedBackend(own, followers, 3)
    near, far = [MemoryReading(50, mlx_active_bytes=2)], [MemoryReading(200)]
    monkeypatch.setattr(followers, "memory_by_host", lambda: {"": [*near], "b": far})
    assert backend.memory() == far[0]
    monkeypatch.setattr(followers, "memory_by_host", lambda: {"": [*near], "b": [MemoryReading(120)]})
    assert backend.memory() == MemoryReading(150, mlx_active_bytes=7)
