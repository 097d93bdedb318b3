"""The power assertion that keeps a Mac awake: which command, when, and that it ends with the service."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from src.supervisor.sleep import PreventSleep, SleepAssertion

LASTING = (sys.executable, "-c", "import time; time.sleep(60)")


class Caffeinate:
    """Stands for the program: records each command line; `argv` runs instead."""

    def __init__(self, argv: tuple[str, ...] = LASTING) -> None:
        self._argv = argv
        self.commands: list[tuple[str, ...]] = []
        self.processes: list[subprocess.Popen[bytes]] = []

    def __call__(self, argv: tuple[str, ...]) -> subprocess.Popen[bytes]:
        self.commands.append(argv)
        self.processes.append(subprocess.Popen(self._argv))
        return self.processes[-1]


@pytest.mark.parametrize(
    ("when", "platform", "flags"),
    [
        ("ac", "darwin", [("-s",)]),
        ("always", "darwin", [("-s", "-i")]),
        ("off", "darwin", []),
        ("ac", "linux", []),
    ],
)
def test_a_mac_is_kept_awake_while_the_service_runs(
    when: PreventSleep, platform: str, flags: list[tuple[str, ...]]
) -> None:
    program = Caffeinate()
    assertion = SleepAssertion(when, platform=platform, spawn=program)
    assertion.hold()
    assertion.hold()
    assertion.release()
    assert program.commands == [("/usr/bin/caffeinate", *each, "-w", str(os.getpid())) for each in flags]
    assert all(process.poll() is not None for process in program.processes)


def test_an_assertion_that_was_ended_is_taken_again_until_the_release() -> None:
    """`killall caffeinate` is a common habit."""
    program = Caffeinate()
    assertion = SleepAssertion("ac", platform="darwin", spawn=program)
    assertion.hold()
    program.processes[0].kill()
    program.processes[0].wait()
    assertion.hold()
    assert len(program.processes) == 2
    assertion.release()
    assertion.hold()
    assert len(program.processes) == 2


def test_a_mac_without_the_program_serves_all_the_same() -> None:
    """It is said once, and not tried again."""
    tried: list[tuple[str, ...]] = []

    def missing(argv: tuple[str, ...]) -> subprocess.Popen[bytes]:
        tried.append(argv)
        raise FileNotFoundError(2, "No such file or directory", argv[0])

    assertion = SleepAssertion("ac", platform="darwin", spawn=missing)
    assertion.hold()
    assertion.hold()
    assertion.release()
    assert len(tried) == 1
