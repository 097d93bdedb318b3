"""Offloads and restores weights, and reads device memory: MLX, torch, or a model's own methods.

No framework is imported: a model can only be made of one that is loaded already. Used by `residency`, on the thread
that requests a move.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypedDict, runtime_checkable

_GB = 1e9


@runtime_checkable
class Movable(Protocol):
    """A model that can offload and restore itself."""

    def to_host(self) -> None: ...

    def to_device(self) -> None: ...


class DeviceMemory(TypedDict):
    """Gigabytes (10^9). `allocated`: in use by this process; `reserved`: including its caches."""

    allocated_gb: float
    reserved_gb: float
    total_gb: float | None


def movable(model: object) -> Movable | None:
    """How to move this object; None if it can only be kept or released."""
    if isinstance(model, Movable):
        return model
    mlx, torch = sys.modules.get("mlx.nn"), sys.modules.get("torch")
    if mlx is not None and isinstance(model, mlx.Module):
        return MlxWeights(model)
    if torch is not None and isinstance(model, torch.nn.Module):
        return _TorchWeights(model)
    return None


def clear_caches() -> None:
    """Free device memory that frameworks cache."""
    if (mx := sys.modules.get("mlx.core")) is not None:
        mx.clear_cache()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()


def device_memory() -> dict[str, DeviceMemory]:
    """This process's memory by device, `GPU_0` first; empty without a framework on a GPU."""
    return dict([*_mlx_memory(), *_torch_memory()])


@dataclass(frozen=True)
class _HostArray:
    """An array's bytes in host memory; `dtype` is MLX's, which has types that Python buffers lack."""

    data: bytes
    dtype: Any
    shape: tuple[int, ...]


class MlxWeights:
    """Moves the parameters of an `mlx.nn.Module` to host memory and back, one by one: never two full copies."""

    def __init__(self, module: Any) -> None:
        self._module = module
        self._kept: list[tuple[str, _HostArray]] = []

    def to_host(self) -> None:
        mx, tree = sys.modules["mlx.core"], sys.modules["mlx.utils"]
        mx.eval(self._module.parameters())
        left = tree.tree_flatten(self._module.parameters())
        while left:
            name, array = left.pop()
            self._kept.append((name, _HostArray(memoryview(array).tobytes(), array.dtype, array.shape)))
            self._set(name, mx.zeros((0,)))
            del array
            mx.clear_cache()

    def to_device(self) -> None:
        while self._kept:
            name, array = self._kept.pop()
            self._set(name, _on_device(array))

    def _set(self, name: str, array: Any) -> None:
        self._module.update(sys.modules["mlx.utils"].tree_unflatten([(name, array)]))


def _on_device(array: _HostArray) -> Any:
    mx = sys.modules["mlx.core"]
    made = mx.array(memoryview(array.data)).view(array.dtype).reshape(array.shape)
    mx.eval(made)  # evaluated on this thread's stream; usable on all threads afterwards
    return made


class _TorchWeights:
    """Moves a `torch.nn.Module` to the CPU and back to its device."""

    def __init__(self, module: Any) -> None:
        self._module = module
        self._device: Any = next((parameter.device for parameter in module.parameters()), None)

    def to_host(self) -> None:
        self._module.to("cpu")

    def to_device(self) -> None:
        if self._device is not None:
            self._module.to(self._device)


def _mlx_memory() -> Iterator[tuple[str, DeviceMemory]]:
    mx = sys.modules.get("mlx.core")
    if mx is None or mx.default_device().type != mx.gpu:
        return
    facts, active = mx.device_info(), mx.get_active_memory()
    # Metal's limit, or CUDA's total
    total = facts.get("max_recommended_working_set_size") or facts.get("total_memory")
    yield "GPU_0", _memory(active, active + mx.get_cache_memory(), total)


def _torch_memory() -> Iterator[tuple[str, DeviceMemory]]:
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return
    cuda = torch.cuda
    for index in range(cuda.device_count()):
        total = cuda.get_device_properties(index).total_memory
        yield f"GPU_{index}", _memory(cuda.memory_allocated(index), cuda.memory_reserved(index), total)


def _memory(allocated: int, reserved: int, total: int | None) -> DeviceMemory:
    return DeviceMemory(
        allocated_gb=round(allocated / _GB, 3),
        reserved_gb=round(reserved / _GB, 3),
        total_gb=None if total is None else round(total / _GB, 3),
    )
