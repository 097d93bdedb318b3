"""The launchd job, daemon and agent: its keys are launchd's own, with the types and limits of launchd.plist(5)."""

from __future__ import annotations

import plistlib
from pathlib import Path
from typing import Any

import pytest

from src.commands import install
from tests.conftest import MakeSettings

# https://keith.github.io/xcode-man-pages/launchd.plist.5.html: those of a job without sockets, timers and paths
_KEYS: dict[str, type] = {
    **dict.fromkeys(("Label", "UserName", "GroupName", "Program", "BundleProgram", "ProcessType"), str),
    **dict.fromkeys(("RootDirectory", "WorkingDirectory"), str),
    **dict.fromkeys(("StandardInPath", "StandardOutPath", "StandardErrorPath"), str),
    **dict.fromkeys(("ProgramArguments",), list),
    **dict.fromkeys(("RunAtLoad", "EnableTransactions", "EnablePressuredExit", "InitGroups", "LaunchOnlyOnce"), bool),
    **dict.fromkeys(("AbandonProcessGroup", "LowPriorityIO", "LowPriorityBackgroundIO", "SessionCreate"), bool),
    **dict.fromkeys(("Umask", "TimeOut", "ExitTimeOut", "ThrottleInterval", "Nice"), int),
    **dict.fromkeys(("EnvironmentVariables", "KeepAlive", "SoftResourceLimits", "HardResourceLimits"), dict),
}
_KEEP_ALIVE = {"SuccessfulExit", "PathState", "OtherJobEnabled", "Crashed", "AfterInitialDemand"}
_LIMITS = {"Core", "CPU", "Data", "FileSize", "MemoryLock", "NumberOfFiles", "NumberOfProcesses", "ResidentSetSize"}
_TYPES = {"Background", "Standard", "Adaptive", "Interactive"}


def planned(make_settings: MakeSettings, folder: Path, *, user: bool) -> tuple[install.Plan, dict[str, Any]]:
    settings = make_settings(log_dir=folder / "logs" / "of a & b", state_dir=None)
    plan = install.plan(settings, folder / "units", user=user, platform="darwin")
    (text,) = plan.files.values()
    return plan, plistlib.loads(text.encode())


@pytest.mark.parametrize("user", [False, True])
def test_every_key_is_documented(make_settings: MakeSettings, tmp_path: Path, *, user: bool) -> None:
    _, job = planned(make_settings, tmp_path, user=user)
    assert {key: type(value) for key, value in job.items()}.items() <= _KEYS.items()
    assert set(job["KeepAlive"]) <= _KEEP_ALIVE
    assert {*job["SoftResourceLimits"], *job["HardResourceLimits"]} <= _LIMITS
    assert job["ProcessType"] in _TYPES
    assert all(isinstance(value, str) for value in job["EnvironmentVariables"].values())


@pytest.mark.parametrize(("user", "named"), [(False, True), (True, False)])
def test_a_daemon_alone_names_its_user(make_settings: MakeSettings, tmp_path: Path, *, user: bool, named: bool) -> None:
    """ "This key is only applicable for services that are loaded into the privileged system domain.\""""
    _, job = planned(make_settings, tmp_path, user=user)
    assert ("UserName" in job) is named


def test_the_folder_of_its_standard_error_is_made(make_settings: MakeSettings, tmp_path: Path) -> None:
    """launchd makes none, and a job whose file cannot be opened does not start."""
    plan, job = planned(make_settings, tmp_path, user=True)
    install.write(plan)
    assert Path(job["StandardErrorPath"]).parent.is_dir()


def test_nothing_unfinished_lies_under_tmp(make_settings: MakeSettings, tmp_path: Path) -> None:
    """macOS deletes what lies there for three days: files, batches and jobs are kept in STATE_DIR."""
    _, job = planned(make_settings, tmp_path, user=True)
    assert Path(job["EnvironmentVariables"]["STATE_DIR"]) == Path.home() / "Library/Application Support/stoker"
