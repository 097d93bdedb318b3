"""`pmset -g batt` and `pmset -g therm`, in the forms that macOS writes."""

from __future__ import annotations

import pytest

from src.gpu.power import PowerReading, parse

AC = "Now drawing from 'AC Power'\n -InternalBattery-0 (id=4522083)\t100%; charged; 0:00 remaining present: true\n"
BATTERY = "Now drawing from 'Battery Power'\n -InternalBattery-0 (id=4522083)\t81%; discharging; 5:12 remaining\n"
DESKTOP = "Now drawing from 'AC Power'\n"
COOL = (
    "Note: No thermal warning level has been recorded\nNote: No performance warning level has been recorded\n"
    "Note: No CPU power status has been recorded\n"
)
INTEL = "2026-11-30 21:00:00 +0000 CPU Power notify\n\tCPU_Scheduler_Limit \t= 100\n\tCPU_Speed_Limit \t= {}\n"
WARNED = "Thermal Warning Level = 2\n"


@pytest.mark.parametrize(
    ("batteries", "thermal", "expected"),
    [
        (AC, COOL, PowerReading()),
        (DESKTOP, COOL, PowerReading()),
        (BATTERY, COOL, PowerReading(on_battery=True)),
        (AC, INTEL.format(100), PowerReading()),
        (AC, INTEL.format(62), PowerReading(throttled=True)),
        (BATTERY, WARNED, PowerReading(on_battery=True, throttled=True)),
        ("", "", PowerReading()),
    ],
)
def test_readings(batteries: str, thermal: str, expected: PowerReading) -> None:
    assert parse(batteries, thermal) == expected
