"""The footprint of a process, from what the systems say."""

from __future__ import annotations

import struct
import sys
import uuid

import pytest

from src.gpu import footprint
from src.gpu.footprint import Footprint, phys_footprint, proportional
from tests.unit.clock import Clock

# recorded: /proc/PID/smaps_rollup of the engine with the demo model, Linux 6.18
ROLLUP = b"""\
560be1013000-7ffc9485a000 ---p 00000000 00:00 0                          [rollup]
Rss:              134112 kB
Pss:              114508 kB
Pss_Dirty:         87520 kB
Pss_Anon:          87520 kB
Pss_File:          26988 kB
Pss_Shmem:             0 kB
Shared_Clean:      25780 kB
Private_Clean:     20812 kB
Private_Dirty:     87520 kB
Anonymous:         87520 kB
Swap:                  0 kB
SwapPss:               0 kB
Locked:                0 kB
"""


def test_the_rollup_of_linux() -> None:
    """Anonymous, shared and swapped pages count; pages of files do not: they can be had again."""
    assert proportional(ROLLUP) == 87520 << 10
    swapped = ROLLUP.replace(b"SwapPss:               0", b"SwapPss:            2048")
    assert proportional(swapped) == (87520 + 2048) << 10


def test_a_kernel_that_does_not_split_it() -> None:
    """An older one gives one sum: then resident memory has to do."""
    assert proportional(b"Rss: 100 kB\nPss: 90 kB\n") is None


def test_the_struct_of_macos() -> None:
    """A `rusage_info_v0` as <sys/resource.h> lays it out: ri_uuid, five counters, wired, resident, phys_footprint, …"""
    fields = (11, 12, 13, 14, 15, 16, 9_000_000_000, 12_345_678_901, 17, 18)
    assert phys_footprint(uuid.uuid4().bytes + struct.pack("=10Q", *fields)) == 12_345_678_901


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_what_a_process_takes_is_seen() -> None:
    """64 MiB more show in this process's own reading."""
    before = footprint._on_linux()
    held = b"x" * (64 << 20)
    after = footprint._on_linux()
    assert before is not None
    assert after is not None
    assert after - before > 60 << 20
    assert len(held)
    assert footprint.own().footprint_bytes


def test_a_reading_that_takes_long_is_kept_long() -> None:
    """Reading may cost a fiftieth of the time at most."""
    clock, readings = Clock(), list[int]()

    def slow() -> int:
        clock.now += 0.1
        readings.append(len(readings))
        return readings[-1]

    read = Footprint(slow, clock)
    assert read() == 0
    clock.now += 4.9
    assert read() == 0
    clock.now += 0.2
    assert read() == 1
