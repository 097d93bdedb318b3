"""How weights move: MLX for real, torch through a stand-in (it is not installed here), and who can do it by himself."""

from __future__ import annotations

import sys
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from src.gpu import ModelManager, Movable, frameworks


def mlx_model() -> Any:
    """Layers of several types, quantised ones among them, a frozen and a 16-bit one."""
    mx = pytest.importorskip("mlx.core")
    from mlx import nn

    mx.set_default_device(mx.cpu)
    half = nn.Linear(512, 512)
    half.set_dtype(mx.bfloat16)
    half.freeze()
    model = nn.Sequential(nn.Linear(512, 512), half, nn.QuantizedLinear(512, 512))
    mx.eval(model.parameters())
    return model


def answer(model: Any) -> list[float]:
    import mlx.core as mx

    made: list[float] = model(mx.ones((1, 512))).astype(mx.float32).tolist()[0]
    return made


def test_mlx_weights_leave_and_come_back_the_same() -> None:
    """Their memory is free meanwhile, and the answers afterwards are bit for bit the same, whoever moved them."""
    model = mlx_model()
    import mlx.core as mx

    before, there = answer(model), mx.get_active_memory()
    manager = ModelManager()
    manager.get_model(lambda: model, "m")
    offload = threading.Thread(target=manager.force_offload, args=("m",))
    offload.start()
    offload.join(30)
    gone = mx.get_active_memory()
    assert gone < there - 1_700_000  # 512 x 512 x (4 + 2 + 1/2 bytes), and what belongs to them
    assert answer(manager.get_model(lambda: None, "m")) == before
    assert mx.get_active_memory() == pytest.approx(there, abs=100_000)


def test_an_object_may_move_itself() -> None:
    class Own:
        def to_host(self) -> None: ...

        def to_device(self) -> None: ...

    own = Own()
    assert isinstance(own, Movable)
    assert frameworks.movable(own) is own


@pytest.mark.parametrize("model", [object(), "weights", {"w": 1}])
def test_others_stay(model: object) -> None:
    """They can be kept or released."""
    assert frameworks.movable(model) is None


class Cuda:
    """torch.cuda on a machine with two GPUs, as its documentation says it answers."""

    emptied = 0

    @staticmethod
    def is_available() -> bool:
        return True

    @staticmethod
    def device_count() -> int:
        return 2

    def memory_allocated(self, index: int) -> int:
        return (1_500_000_000, 0)[index]

    def memory_reserved(self, index: int) -> int:
        return (2_000_000_000, 0)[index]

    def get_device_properties(self, index: int) -> SimpleNamespace:
        return SimpleNamespace(total_memory=24_000_000_000)

    def empty_cache(self) -> None:
        self.emptied += 1


class Module:
    """A torch.nn.Module as far as moving goes."""

    def __init__(self) -> None:
        self.device = "cuda:1"

    def parameters(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(device=self.device)]

    def to(self, device: str) -> None:
        self.device = device


@pytest.fixture
def torch(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    module = SimpleNamespace(nn=SimpleNamespace(Module=Module), cuda=Cuda())
    monkeypatch.setitem(sys.modules, "torch", module)
    return module


def test_a_torch_module_goes_to_the_cpu_and_back_to_its_own_device(torch: SimpleNamespace) -> None:
    manager, module = ModelManager(), Module()
    manager.get_model(lambda: module, "m")
    assert manager.force_offload() == ["m"]
    assert (module.device, torch.cuda.emptied) == ("cpu", 1)
    assert manager.get_model(Module, "m") is module
    assert module.device == "cuda:1"


@pytest.mark.usefixtures("torch")
def test_memory_is_told_by_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "mlx.core", raising=False)
    assert frameworks.device_memory() == {
        "GPU_0": {"allocated_gb": 1.5, "reserved_gb": 2.0, "total_gb": 24.0},
        "GPU_1": {"allocated_gb": 0.0, "reserved_gb": 0.0, "total_gb": 24.0},
    }


@pytest.mark.parametrize(
    ("facts", "total"),
    [
        # the names in mlx/backend/metal/device_info.cpp and mlx/backend/cuda/device_info.cpp, 0.32.4
        ({"memory_size": 64_000_000_000, "max_recommended_working_set_size": 48_000_000_000}, 48.0),
        ({"total_memory": 24_000_000_000, "free_memory": 23_000_000_000}, 24.0),
        ({}, None),
    ],
)
def test_mlx_memory_on_a_gpu(monkeypatch: pytest.MonkeyPatch, facts: dict[str, int], total: float | None) -> None:
    """Null where the platform does not tell."""
    mx = SimpleNamespace(
        gpu="gpu",
        default_device=lambda: SimpleNamespace(type="gpu"),
        device_info=lambda: facts,
        get_active_memory=lambda: 3_000_000_000,
        get_cache_memory=lambda: 1_000_000_000,
    )
    monkeypatch.setitem(sys.modules, "mlx.core", mx)
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    assert frameworks.device_memory() == {"GPU_0": {"allocated_gb": 3.0, "reserved_gb": 4.0, "total_gb": total}}


def test_on_a_cpu_there_is_no_device() -> None:
    mlx_model()
    assert frameworks.device_memory() == {}
