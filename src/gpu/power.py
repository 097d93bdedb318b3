"""What a Mac says of its power and its heat: `pmset -g batt` and `pmset -g therm`, which need no root. Supervisor.

The parsers are pure; elsewhere nothing is asked, and nothing known.
"""

from __future__ import annotations

import platform
import re
import subprocess
from dataclasses import dataclass

_TIMEOUT_S = 2.0
_SOURCE = re.compile(r"Now drawing from '([^']+)'")
_SPEED = re.compile(r"CPU_Speed_Limit\s*=\s*(\d+)")
_WARNING = re.compile(r"^\s*(?:Thermal|Performance) Warning Level\s*[:=]\s*([1-9]\d*)", re.MULTILINE | re.IGNORECASE)
_FULL_SPEED = 100


@dataclass(frozen=True)
class PowerReading:
    """`throttled`: the machine runs slower than it could, for heat."""

    on_battery: bool = False
    throttled: bool = False


def parse(batteries: str, thermal: str) -> PowerReading:
    source, speed = _SOURCE.search(batteries), _SPEED.search(thermal)
    slow = speed is not None and int(speed[1]) < _FULL_SPEED
    return PowerReading(
        on_battery=source is not None and source[1] == "Battery Power",
        throttled=slow or _WARNING.search(thermal) is not None,
    )


def read() -> PowerReading:
    """Of this machine; takes a few milliseconds on a Mac."""
    if platform.system() != "Darwin":
        return PowerReading()
    return parse(_pmset("batt"), _pmset("therm"))


def _pmset(what: str) -> str:
    """Empty when it does not answer: what is not known holds nothing up."""
    try:
        argv = ["/usr/bin/pmset", "-g", what]
        return subprocess.run(argv, capture_output=True, text=True, timeout=_TIMEOUT_S, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ""
