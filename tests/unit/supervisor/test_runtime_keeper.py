"""The runtime directory is removed while the supervisor runs: created again, or exit code RUNTIME_LOST."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from src.errors import ExitCode
from src.ipc import runtime
from src.supervisor import lock
from src.supervisor.runtime_keeper import RuntimeKeeper
from tests.unit.clock import Clock
from tests.unit.supervisor.harness import Service, eventually, service


@pytest.fixture
def started() -> Iterator[Service]:
    with service() as running:
        running.start()
        eventually(running.ready, 20, "all are ready")
        yield running


def test_a_removed_directory_is_created_again(runtime_dir: Path) -> None:
    """Private as before, with the lock in it; a directory that stands is left alone."""
    with lock.hold(runtime.lock_file(runtime_dir)) as held:
        keeper = RuntimeKeeper(runtime_dir, held)
        assert not keeper.check()
        shutil.rmtree(runtime_dir)
        assert keeper.check()
        assert not keeper.check()
        assert not held.lost()
        assert runtime_dir.stat().st_mode & 0o777 == 0o700


def test_a_socket_that_stays_missing(runtime_dir: Path) -> None:
    """It has a few seconds to be bound again; then its process is reported once."""
    clock, path = Clock(), runtime_dir / "engine.sock"
    with lock.hold(runtime.lock_file(runtime_dir)) as held:
        keeper = RuntimeKeeper(runtime_dir, held, clock)
        path.touch()
        assert list(keeper.unreachable([("engine", path)])) == []
        path.unlink()
        assert list(keeper.unreachable([("engine", path)])) == []
        clock.now += 4
        assert list(keeper.unreachable([("engine", path)])) == []
        clock.now += 2
        assert list(keeper.unreachable([("engine", path)])) == ["engine"]
        assert list(keeper.unreachable([("engine", path)])) == []


def test_the_service_survives_the_removal_of_its_directory(started: Service) -> None:
    """The control socket answers within seconds, engine and web keep running, the broker is restarted."""
    before = {name: started.pid(name) for name in ("engine", "ocr", "web")}
    started.remove_directory()
    took = eventually(lambda: started.ready() and started.pid("ocr") != before["ocr"], 10, "it answers again")
    assert took < 8
    assert (started.pid("engine"), started.pid("web")) == (before["engine"], before["web"])
    assert runtime.lock_file(started.directory).exists()
    eventually((started.directory / "engine-demo.sock").exists, 5, "the engine is bound again")


def test_a_directory_that_cannot_be_created_again() -> None:
    """A file is in its place: exit code RUNTIME_LOST, for the service manager."""
    with service() as running:
        process = running.start()
        eventually(running.ready, 20, "all are ready")
        running.directory.rename(running.directory.with_name("aside"))
        running.directory.touch()
        assert process.wait(20) == ExitCode.RUNTIME_LOST
        eventually(running.all_gone, 10, "its processes have ended")
