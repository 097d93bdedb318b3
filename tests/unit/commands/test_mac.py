"""What the doctor says of a Mac, on outputs that real Macs gave; each has the address where it was published."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from src.commands import mac
from src.commands.mac import Observed, readings

# https://github.com/fleetdm/fleet/blob/main/orbit/pkg/table/pmset/pmset_darwin_test.go
SETTINGS = """System-wide power settings:
 SleepDisabled          0
Currently in use:
 lidwake              1
 lowpowermode         0
 standbydelayhigh     86400
 proximitywake        1
 standby              1
 standbydelaylow      0
 ttyskeepawake        1
 hibernatemode        3
 powernap             0
 gpuswitch            2
 hibernatefile        /var/vm/sleepimage
 highstandbythreshold 50
 displaysleep         10
 womp                 1
 networkoversleep     0
 sleep                1 (sleep prevented by bluetoothd, coreaudiod)
 acwake               0
 halfdim              1
 tcpkeepalive         1
 disksleep            10
"""
# https://github.com/jbranchaud/til/blob/master/mac/inspect-assertions-preventing-sleep.md
ASSERTIONS = """2025-11-02 13:20:57 -0600
Assertion status system-wide:
   BackgroundTask                 0
   ApplePushServiceTask           0
   UserIsActive                   1
   PreventUserIdleDisplaySleep    0
   PreventSystemSleep             0
   ExternalMedia                  0
   PreventUserIdleSystemSleep     1
   NetworkClientActive            0
Listed by owning process:
   pid 98217(caffeinate): [0x00045477000194b3] 00:00:03 PreventUserIdleSystemSleep named: "caffeinate command-line tool"
        Details: caffeinate asserting for 1600 secs
        Localized=THE CAFFEINATE TOOL IS PREVENTING SLEEP.
        Timeout will fire in 1597 secs Action=TimeoutActionRelease
   pid 80(powerd): [0x00044f2f00019216] 00:22:34 PreventUserIdleSystemSleep named: "Powerd - Prevent sleep while display is on"
"""  # noqa: E501
# https://github.com/exelban/stats/issues/749, a MacBook Pro with M1 Pro, macOS 12.1
COOL = """Note: No thermal warning level has been recorded
Note: No performance warning level has been recorded
Note: No CPU power status has been recorded
"""
# https://github.com/yujitach/MenuMeters/issues/158
HOT = """2020-06-26 12:30:37 +0200 CPU Power notify
\tCPU_Scheduler_Limit \t= 40
\tCPU_Available_CPUs \t= 8
\tCPU_Speed_Limit \t= 28
"""
# https://github.com/jundot/omlx/issues/862, a Mac mini M4 with 16 GB, macOS 26.4
PANIC = """panic(cpu 7 caller 0xfffffe004418be28): "completeMemory() prepare count underflow" @IOGPUMemory.cpp:550
Debugger message: panic
Memory ID: 0x6
OS release type: User
OS version: 25E246
"""
# https://github.com/gominimal/minimal/issues/1222: not the GPU's
OTHER_PANIC = (
    "panic(cpu 6 caller 0xfffffe004f0f482c): m_copym_with_hdrs n 0xf4fffe242d10e200 copy overflow @uipc_mbuf.c:3268\n"
)
# https://github.com/jjang-ai/vmlx/issues/11: a line that a report has for each driver in the backtrace
LOADED = "         com.apple.iokit.IOGPUFamily(129.3.2)[087C1713...]\n"
# https://github.com/walles/px/issues/80, and https://github.com/mackerelio/mackerel-agent/pull/84
SWAP = "vm.swapusage: total = 4096.00M  used = 2743.50M  free = 1352.50M  (encrypted)\n"
LITTLE_SWAP = "vm.swapusage: total = 1024.00M  used = 2.50M  free = 1021.50M  (encrypted)\n"

HEALTHY = Observed(SETTINGS, ASSERTIONS, "", COOL, LITTLE_SWAP, 0, 1024, 65536, (), (), 3000.0)


def test_a_healthy_mac_needs_nothing() -> None:
    """Every reading is shown, none has advice."""
    assert [str(reading) for reading in readings(HEALTHY)] == [
        "system sleep: after 1 min, prevented while caffeinate runs",
        "display sleep: after 10 min",
        "low power mode: off",
        "thermal pressure: none reported by pmset",
        "wired limit of the GPU: macOS's own",
        "swap in use: 2 MB",
        "GPU panics: 0 in 30 days",
        "GPU restarts: 0 in 30 days",
        "listening queue: 1024 connections",
        "disk of MODELS_DIR: 3000 MB/s",
    ]


@pytest.mark.parametrize(
    ("change", "value", "advice"),
    [
        ({"assertions": ASSERTIONS.replace("caffeinate)", "coreaudiod)")}, "after 1 min", "PREVENT_SLEEP=ac"),
        (
            {"settings": SETTINGS.replace("lowpowermode         0", "lowpowermode         1")},
            "on",
            "pmset -a powermode 0",
        ),
        # macOS 13 and later: https://github.com/alfredapp/low-power-mode-workflow/issues/4
        (
            {"settings": SETTINGS.replace("lowpowermode         0", "powermode            1")},
            "on",
            "pmset -a powermode 0",
        ),
        ({"thermal": HOT}, "throttled", "give it air"),
        ({"swap": SWAP}, "2744 MB", "MLX_MEMORY_FRACTION"),
        ({"wired_limit_mb": 64000}, "64000 MB of 65536", "iogpu.wired_limit_mb=58982"),
        ({"panics": ("panic-full-2026-08-14-110315.0002.panic",)}, "panic-full-2026-08-14", "WIRED_LIMIT"),
        ({"gpu_restarts": ("gpuEvent-python3.14-2026-04-19-195508.ips",)}, "gpuEvent-python3.14", "PREFILL_STEP_SIZE"),
        ({"backlog": 128}, "128 connections", "kern.ipc.somaxconn=512"),
        ({"read_mb_s": 110.0}, "110 MB/s", "internal SSD"),
    ],
)
def test_what_is_wrong_is_said_with_what_to_do(change: dict[str, object], value: str, advice: str) -> None:
    (found,) = (reading for reading in readings(replace(HEALTHY, **change)) if reading.advice)  # type: ignore[arg-type]
    assert value in found.value
    assert advice in str(found.advice)


@pytest.mark.parametrize(
    ("settings", "value"),
    [(SETTINGS.replace("sleep                1 (", "sleep                0 ("), "never"), ("", None)],
)
def test_a_mac_that_never_sleeps_needs_no_assertion(settings: str, value: str | None) -> None:
    found = {reading.name: reading for reading in readings(Observed(settings=settings))}
    assert (found["system sleep"].value if "system sleep" in found else None) == value
    assert all(reading.advice is None for reading in found.values())


def test_high_power_mode_is_not_low_power() -> None:
    seen = replace(HEALTHY, settings=SETTINGS.replace("lowpowermode         0", "powermode            2"))
    assert [reading.value for reading in readings(seen) if reading.name == "low power mode"] == ["off"]


def test_panics_of_the_gpu_are_counted_for_a_month(tmp_path: Path) -> None:
    for name, text, age_days in [
        ("panic-full-2026-11-20-090000.0002.panic", PANIC, 10),
        ("panic-full-2026-09-01-090000.0002.panic", PANIC, 90),
        ("panic-full-2026-11-21-090000.0002.panic", OTHER_PANIC + LOADED, 9),
        ("panic-full-2026-11-22-090000.0002.panic", json.dumps({"panicString": PANIC}), 8),
        ("panic-full-2026-11-23-090000.0002.panic", json.dumps({"panicString": OTHER_PANIC + LOADED}), 7),
        ("python3-2026-11-20.ips", PANIC, 1),
    ]:
        (tmp_path / name).write_text(text)
        os.utime(tmp_path / name, times=(1e9 - age_days * 86400,) * 2)
    found = mac.gpu_panics(tmp_path, 1e9)
    assert [name[:21] for name in found] == ["panic-full-2026-11-20", "panic-full-2026-11-22"]
    assert mac.gpu_panics(tmp_path / "missing", 1e9) == ()


def test_the_disk_is_measured_on_a_models_largest_file(tmp_path: Path) -> None:
    (tmp_path / "org" / "model").mkdir(parents=True)
    assert mac.read_speed(tmp_path) is None
    (tmp_path / "org" / "model" / "model.safetensors").write_bytes(bytes(16 << 20))
    assert (mac.read_speed(tmp_path) or 0) > 0


def test_macos_is_asked_on_a_mac_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With full paths; what does not answer is left out."""
    asked: list[tuple[str, ...]] = []

    def run(argv: tuple[str, ...], **_: object) -> subprocess.CompletedProcess[str]:
        asked.append(argv)
        if argv[:3] == ("/usr/bin/pmset", "-g", "therm"):
            raise subprocess.TimeoutExpired(argv, 5)
        return subprocess.CompletedProcess(argv, 0, "128\n" if "-n" in argv else SETTINGS, "")

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    assert mac.observe(tmp_path) is None
    assert not asked
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    seen = mac.observe(tmp_path)
    assert seen is not None
    assert (seen.settings, seen.thermal, seen.backlog) == (SETTINGS, "", 128)
    assert {argv[0] for argv in asked} == {"/usr/bin/pmset", "/usr/sbin/sysctl"}


def test_restarts_of_the_gpu_are_counted_for_a_month(tmp_path: Path) -> None:
    """Also those that macOS has sent and put away; the latest is named, whatever process it computed for."""
    (tmp_path / "Retired").mkdir()
    for name, age_days in [
        ("gpuEvent-python3.14-2026-04-19-195508.ips", 2),
        ("Retired/gpuEvent-WindowServer-2026-04-18-161322.ips", 3),
        ("gpuEvent-python3.14-2026-01-19-161951.ips", 90),
        ("python3.14-2026-04-19-195508.ips", 1),
    ]:
        (tmp_path / name).write_text("")
        os.utime(tmp_path / name, times=(1e9 - age_days * 86400,) * 2)
    assert mac.gpu_restarts(tmp_path, 1e9) == (
        "gpuEvent-WindowServer-2026-04-18-161322.ips",
        "gpuEvent-python3.14-2026-04-19-195508.ips",
    )
