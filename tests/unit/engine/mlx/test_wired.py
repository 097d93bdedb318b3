"""How much memory an engine keeps wired on a Mac: set after mlx-lm has allowed itself all of it."""

from __future__ import annotations

import sys

import mlx.core as mx
import msgspec
import pytest

from src.engine.mlx import lm_checkpoint
from src.engine.mlx.device import bound_wired
from src.engine.mlx.lm import load_lm
from src.engine.progress import LoadMeter
from src.ipc.messages.status import DeviceReading
from tests.conftest import MakeSettings

GIB = 1 << 30
METAL = DeviceReading(kind="metal", memory_total_bytes=48 * GIB)


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What MLX was told, with 4 GiB in use."""
    told: list[int] = []
    monkeypatch.setattr(mx, "set_wired_limit", told.append)
    monkeypatch.setattr(mx, "get_active_memory", lambda: 4 * GIB)
    return told


@pytest.mark.parametrize(("wired_limit", "expected"), [(0, 18 * GIB), (8192, 8 * GIB), (1 << 20, 48 * GIB)])
def test_the_limit_is_a_share_or_the_operators(
    wired_limit: int, expected: int, make_settings: MakeSettings, limits: list[int]
) -> None:
    """Three quarters of 48 GiB for two models; never more than the system's, which MLX refuses."""
    bound_wired(make_settings(wired_limit=wired_limit, max_concurrent_models=2), METAL)
    assert limits == [expected]


@pytest.mark.parametrize("kind", ["cpu", "cuda"])
def test_only_metal_wires(kind: str, make_settings: MakeSettings, limits: list[int]) -> None:
    bound_wired(make_settings(), msgspec.convert({"kind": kind, "memory_total_bytes": GIB}, DeviceReading))
    assert limits == []


def test_an_engine_bounds_it_after_its_batch_is_made(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And again when it comes back to the device."""
    calls: list[str] = []
    library = sys.modules["mlx_lm.generate"]  # the package has a function of this name
    monkeypatch.setattr(library, "maybe_set_recommended_wired_limit", lambda: calls.append("all"))
    monkeypatch.setattr(lm_checkpoint, "bound_wired", lambda *_: calls.append("share"))
    backend = load_lm("demo", make_settings(default_model="demo", max_num_seqs=1), None, LoadMeter())
    try:
        assert calls[-2:] == ["all", "share"]
        backend.to_host()
        calls.clear()
        backend.to_device()
        assert calls == ["all", "share"]
    finally:
        backend.close()
