"""What an earlier supervisor left: killed when it is still the same process, and nothing else is."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psutil
import pytest

from src.supervisor.earlier import FILE, StartedProcess, StartedProcesses, kill_earlier

ARGV = (sys.executable, "-c", "import time; time.sleep(60)", "--model", "demo")


@pytest.fixture
def hung() -> Iterator[subprocess.Popen[bytes]]:
    """A process that never reads its lifeline, in a group of its own as the supervisor starts them."""
    process = subprocess.Popen(ARGV, start_new_session=True)
    yield process
    process.kill()
    process.wait()


def sweep(directory: Path) -> list[int]:
    """On a clock that passes with each sleep."""
    seconds = [0.0]

    def sleep(length: float) -> None:
        time.sleep(0.01)
        seconds[0] += length * 5

    return kill_earlier(directory, lambda: seconds[0], sleep)


def write(directory: Path, started: StartedProcess) -> None:
    (directory / FILE).write_bytes(msgspec.json.encode([started]))


def test_a_hung_process_of_an_earlier_supervisor_is_killed(tmp_path: Path, hung: subprocess.Popen[bytes]) -> None:
    StartedProcesses(tmp_path).add(hung.pid, ARGV)
    assert sweep(tmp_path) == [hung.pid]
    assert hung.wait(5) == -9


def test_one_that_ends_by_itself_is_waited_for(tmp_path: Path) -> None:
    process = subprocess.Popen((sys.executable, "-c", "import time; time.sleep(0.1)"), start_new_session=True)
    StartedProcesses(tmp_path).add(process.pid, tuple(process.args))  # type: ignore[arg-type]
    assert kill_earlier(tmp_path) == []
    assert process.wait(5) == 0


@pytest.mark.parametrize("change", ["started_at", "arguments"])
def test_a_reused_pid_is_left_alone(tmp_path: Path, hung: subprocess.Popen[bytes], change: str) -> None:
    """Another start time, or another program: not ours."""
    same = StartedProcess(hung.pid, psutil.Process(hung.pid).create_time(), ARGV[1:])
    other = {"started_at": same.started_at - 60, "arguments": ("-c", "pass")}[change]
    write(tmp_path, msgspec.structs.replace(same, **{change: other}))
    assert sweep(tmp_path) == []
    assert hung.poll() is None


def test_one_that_shares_another_group_is_left_alone(tmp_path: Path) -> None:
    """Its group would be killed with it: here this test's own."""
    process = subprocess.Popen(ARGV)
    try:
        StartedProcesses(tmp_path).add(process.pid, ARGV)
        assert sweep(tmp_path) == []
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("text", [None, b"", b"[{}]", b"not json"])
def test_a_file_that_is_missing_or_broken_stops_no_start(tmp_path: Path, text: bytes | None) -> None:
    if text is not None:
        (tmp_path / FILE).write_bytes(text)
    assert sweep(tmp_path) == []


def test_a_machine_that_does_not_tell_its_boot_time_starts_processes_all_the_same(
    tmp_path: Path, hung: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some containers have a /proc/stat of their own; nothing is killed there that might be another's."""
    write(tmp_path, StartedProcess(hung.pid, psutil.Process(hung.pid).create_time(), ARGV[1:]))

    def unknown() -> float:
        raise RuntimeError("line 'btime' not found in /proc/stat")

    monkeypatch.setattr("psutil._psplatform.boot_time", unknown)
    StartedProcesses(tmp_path).add(hung.pid, ARGV)
    assert sweep(tmp_path) == []
    assert hung.poll() is None


@pytest.mark.parametrize("pid", [-1, 0, 1 << 70])
def test_a_pid_that_is_none_stops_no_start(tmp_path: Path, pid: int) -> None:
    (tmp_path / FILE).write_bytes(b'[{"pid": %d, "started_at": 0.0, "arguments": []}]' % pid)
    assert sweep(tmp_path) == []


def test_arguments_that_are_no_text_stop_no_start(tmp_path: Path, hung: subprocess.Popen[bytes]) -> None:
    StartedProcesses(tmp_path).add(hung.pid, ("python", "--model", "caf\udce9"))
    assert not (tmp_path / FILE).exists()


def test_the_file_names_what_lives_and_goes_with_a_clean_stop(tmp_path: Path, hung: subprocess.Popen[bytes]) -> None:
    """Processes that have ended leave it, so that it does not grow; a folder that was removed harms nothing."""
    started = StartedProcesses(tmp_path)
    ended = subprocess.Popen((sys.executable, "-c", "import time; time.sleep(60)"))
    started.add(ended.pid, ARGV)
    ended.kill()
    ended.wait()
    started.add(hung.pid, ARGV)
    known = msgspec.json.decode((tmp_path / FILE).read_bytes(), type=list[StartedProcess])
    assert [each.pid for each in known] == [hung.pid]
    started.remove()
    assert not list(tmp_path.iterdir())
    StartedProcesses(tmp_path / "removed").add(hung.pid, ARGV)
