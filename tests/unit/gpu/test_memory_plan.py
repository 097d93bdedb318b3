"""One total for the supervisor's table, the weights and the engine, whatever each can ask."""

from __future__ import annotations

import subprocess
import sys

import pytest

from src.gpu import memory_plan
from src.gpu.memory_plan import MachineMemory, budget_bytes

GIB = 1 << 30


@pytest.mark.parametrize(
    ("ram", "recommended"), [(16, 11453246122), (32, 22906503168), (36, 28991029248), (64, 51539607552)]
)
def test_the_supervisor_expects_what_metal_recommends(ram: int, recommended: int) -> None:
    """It computes what Metal tells an engine, as reported from Macs of these sizes, so both have the same budget."""
    supervisor = MachineMemory("darwin", ram * GIB).total
    engine = MachineMemory("darwin", ram * GIB, recommended=recommended).total
    assert abs(supervisor - engine) < GIB // 32
    assert abs(budget_bytes(supervisor, 0.75) - budget_bytes(engine, 0.75)) < GIB // 32


def test_what_the_operator_has_set_is_the_total() -> None:
    """`sysctl iogpu.wired_limit_mb`; never more than there is."""
    assert MachineMemory("darwin", 64 * GIB, wired_limit=60 * GIB).total == 60 * GIB
    assert MachineMemory("darwin", 64 * GIB, wired_limit=90 * GIB).total == 64 * GIB


def test_a_gpus_own_memory_counts_where_there_is_one() -> None:
    """On NVIDIA; on a CPU the machine's."""
    assert MachineMemory("linux", 64 * GIB, dedicated=24 * GIB).total == 24 * GIB
    assert MachineMemory("linux", 64 * GIB).total == 64 * GIB


def test_a_model_that_the_table_accepts_is_one_that_an_engine_loads() -> None:
    """Of 56 to 75 % of a Mac's memory, models were accepted and answered nothing."""
    mac = MachineMemory("darwin", 64 * GIB)
    table, engine = budget_bytes(mac.total, 0.75), budget_bytes(mac.total, 0.75)
    assert table == engine < 0.57 * 64 * GIB
    assert budget_bytes(mac.total, 0.75, fixed_mb=100) == 100 << 20


@pytest.mark.parametrize(("said", "limit"), [("0\n", 0), ("57344\n", 56 * GIB), ("", 0), ("unknown oid", 0)])
def test_the_limit_is_read_from_sysctl(said: str, limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """And not at all where Metal has said what may be used, or on Linux."""

    def run(argv: tuple[str, ...], **_: object) -> subprocess.CompletedProcess[str]:
        assert argv[-1] == "iogpu.wired_limit_mb"
        return subprocess.CompletedProcess(argv, 0, said, "")

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(sys, "platform", "darwin")
    assert memory_plan.read().wired_limit == limit
    assert memory_plan.read(recommended=5).wired_limit == 0
    monkeypatch.setattr(sys, "platform", "linux")
    assert memory_plan.read(dedicated=7).total == 7


@pytest.mark.parametrize(
    ("models", "in_use", "fixed_mb", "expected"),
    [
        (1, 0, 0, 48 * GIB),
        (2, 4 * GIB, 0, 24 * GIB),  # an even share
        (2, 32 * GIB, 0, 40 * GIB),  # a large model: its weights, and a quarter more
        (2, 47 * GIB, 0, 48 * GIB),  # never more than the budget
        (2, 4 * GIB, 6144, 6 * GIB),  # WIRED_LIMIT
    ],
)
def test_an_engine_wires_a_share(models: int, in_use: int, fixed_mb: int, expected: int) -> None:
    """Each that wires all that Metal recommends is a reported trigger of the GPU driver's panics."""
    assert memory_plan.wired_bytes(48 * GIB, models, in_use, fixed_mb) == expected
