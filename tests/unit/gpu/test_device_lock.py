"""Turns on a device: shared evenly by real processes, freed by a killed one, not waited for for ever."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from src.gpu import device_lock
from src.gpu.device_lock import DeviceLock
from tests.conftest import MakeSettings

_spawning = multiprocessing.get_context("spawn")
_STEP_S = 0.01
_TOKEN_S = 0.004


@contextmanager
def process(work: Callable[..., None], *arguments: object) -> Iterator[tuple[Any, Connection]]:
    """Another process, and the end of a pipe to it."""
    ours, theirs = _spawning.Pipe()
    child = _spawning.Process(target=work, args=(theirs, *arguments))
    child.start()
    try:
        yield child, ours
    finally:
        child.kill()
        child.join(10)


# ---- policy


@pytest.mark.parametrize(("waited_s", "lasts_s"), [(0.0, 0.005), (0.02, 0.02), (3.0, 0.1)])
def test_a_turn_lasts_as_long_as_was_waited_for_it(waited_s: float, lasts_s: float) -> None:
    """Both sides get as much of the device; a long prefill earns nobody a long absence."""
    assert device_lock.turn_length(waited_s) == lasts_s


def test_patience_ends_with_who_does_not_give_way_and_returns() -> None:
    """A hung process costs the other a quarter of a second once, then milliseconds a turn."""
    left = [0.25]
    for missed in (True, True, True, False, False, False, False, False, False, False):
        left.append(device_lock.next_timeout(left[-1], missed=missed))
    assert left[:4] == [0.25, 0.03125, 0.005, 0.005]
    assert left[-1] == 0.25


@pytest.mark.parametrize(
    ("settings", "device", "by_turns"),
    [
        ({"ocr_model": "m"}, "gpu", True),
        ({"ocr_model": "m"}, "cpu", False),
        ({"ocr_model": "m", "device_turns": "on"}, "cpu", True),
        ({"ocr_model": "m", "device_turns": "off"}, "gpu", False),
        ({}, "gpu", False),
        ({"ocr_model": "m", "ocr_workers": 0}, "gpu", False),
        ({"ocr_model": "m", "ocr_engine": "rapidocr"}, "gpu", False),
    ],
)
def test_turns_are_taken_where_two_compute(
    make_settings: MakeSettings, tmp_path: Path, settings: dict[str, Any], device: Any, by_turns: bool
) -> None:
    """A GPU that chat has for itself costs it no lock."""
    found = device_lock.turns(make_settings(runtime_dir=tmp_path, **settings), device)
    assert (found is not device_lock.unshared) == by_turns


# ---- processes


def _engine(pipe: Connection, path: Path, seconds: float) -> None:
    """A step a turn; the times in which it had the device."""
    mine, had = DeviceLock(path), []
    pipe.send("ready")
    pipe.recv()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with mine.turn():
            began = time.monotonic()
            time.sleep(_STEP_S)
            had.append((began, time.monotonic()))
    pipe.send(had)


def _pages(pipe: Connection, path: Path, seconds: float) -> None:
    """Tokens without end, as of one page."""
    mine, had = DeviceLock(path), []
    pipe.send("ready")
    pipe.recv()
    end = time.monotonic() + seconds
    with mine.turn() as give_way:
        while time.monotonic() < end:
            began = time.monotonic()
            time.sleep(_TOKEN_S)
            had.append((began, time.monotonic()))
            give_way()
    pipe.send(had)


def test_neither_starves(tmp_path: Path) -> None:
    """Steps and tokens of two processes: each has at least a third of the time, and nearly none at once."""
    path = tmp_path / "lease"
    with process(_engine, path, 2.0) as (_, engine), process(_pages, path, 2.0) as (_, pages):
        for pipe in (engine, pages):
            assert pipe.poll(60)
            pipe.recv()
        for pipe in (engine, pages):
            pipe.send("go")
        assert engine.poll(30)
        assert pages.poll(30)
        steps, tokens = engine.recv(), pages.recv()
    times = [sum(end - began for began, end in had) for had in (steps, tokens)]
    assert min(times) >= sum(times) / 3
    overlap = sum(max(0.0, min(a[1], b[1]) - max(a[0], b[0])) for a in steps for b in tokens)
    assert overlap <= 0.1 * sum(times)


def _hold(pipe: Connection, path: Path) -> None:
    with DeviceLock(path).turn():
        pipe.send("held")
        time.sleep(60)


@pytest.fixture
def mine(tmp_path: Path) -> Iterator[DeviceLock]:
    """This process's."""
    ours = DeviceLock(tmp_path / "lease")
    yield ours
    ours.close()


def waited(mine: DeviceLock) -> float:
    began = time.monotonic()
    with mine.turn():
        return time.monotonic() - began


def test_a_killed_holder_frees_the_device(mine: DeviceLock, tmp_path: Path) -> None:
    """At once, by SIGKILL, with nothing left to clean up."""
    with process(_hold, tmp_path / "lease") as (child, pipe):
        assert pipe.poll(60)
        assert not mine._take_ticket() or not mine._is_next()
        mine._release()
        child.kill()
        child.join(10)
        assert waited(mine) < 0.2
        assert mine._timeout_s == 0.25


def test_a_hung_holder_is_waited_for_once(mine: DeviceLock, tmp_path: Path) -> None:
    """SIGSTOP: whoever wants the device goes on without a turn, then hardly waits, and waits again when it is back."""
    with process(_hold, tmp_path / "lease") as (child, pipe):
        assert pipe.poll(60)
        os.kill(child.pid, signal.SIGSTOP)
        assert 0.25 <= waited(mine) < 2
        assert mine._timeout_s < 0.1
        child.kill()
        child.join(10)
    waited(mine)
    assert mine._timeout_s == 0.0625


def _wait_turn(pipe: Connection, path: Path, order: Path) -> None:
    mine = DeviceLock(path)
    assert mine._take_ticket()
    pipe.send("drawn")
    while not mine._is_next():
        time.sleep(0.001)
    with order.open("a") as file:
        file.write(f"{mine._ticket}\n")
    mine._release()


def test_turns_come_in_the_order_they_were_asked_for(mine: DeviceLock, tmp_path: Path) -> None:
    """Three wait for one: none overtakes."""
    order = tmp_path / "order"
    assert mine._take_ticket()
    with ExitStack() as started:
        children = []
        for _ in range(3):
            child, pipe = started.enter_context(process(_wait_turn, tmp_path / "lease", order))
            assert pipe.poll(60)
            children.append(child)
        mine._release()
        for child in children:
            child.join(30)
    assert order.read_text() == "2\n3\n4\n"
