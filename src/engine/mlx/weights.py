"""Reads weights, if there is room for them; on a Linux CPU prepares them for the kernels that compute with them: fp32
for the fast BLAS, or packed ones for int8 kernels (`kernels`). Owner thread.

Measured on a 40M-parameter 4-bit model: time to first token for 8 requests 20 s → 1 s (docs/adr/0007).
"""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import mlx.core as mx
import psutil
from loguru import logger
from mlx.utils import tree_flatten
from mlx_lm.utils import dequantize_model, load_model

from src.engine.mlx.mends import mend
from src.engine.progress import LoadMeter
from src.errors import ModelLoadFailed
from src.gpu.watermarks import fits

# fp32 weights may take this share of the memory that is free when they are loaded
_MEMORY_SHARE = 0.5
# read at once, so that progress shows and a process can be stopped in between
_PIECE_BYTES = 256 << 20


@dataclass(frozen=True)
class CpuPolicy:
    """What becomes of weights on a Linux CPU: CPU_DEQUANTIZE, CPU_KERNELS where it applies, whether KV_BITS is set."""

    dequantize: str
    kernels: str | None = None
    packed_kv: bool = False


Load = Callable[[Path], tuple[Any, dict[str, Any]]]


def load_text(folder: Path) -> tuple[Any, dict[str, Any]]:
    """mlx-lm's module for a checkpoint and its configuration; nothing is read yet."""
    model, config = load_model(folder, lazy=True)
    return mend(model), config


def too_large(model: str, needed: int, budget: int) -> ModelLoadFailed:
    """What an operator reads who gave a model more than its engine may take: both numbers, and what changes them."""
    return ModelLoadFailed(
        f"The model {model!r} needs {needed >> 20} MB; its engine may take {budget >> 20} MB. Give it more with "
        "MLX_MEMORY_FRACTION or MEMORY_BUDGET_MB (on a Mac also `sudo sysctl iogpu.wired_limit_mb=MB`), or serve a "
        "smaller or more strongly quantised one."
    )


def refuse_too_large(folder: Path, model: str, budget: int | None = None, share: float = 1.0) -> None:
    """Refuse weights that do not fit into memory, before the machine swaps. `budget`: bytes the engine may take;
    `share`: how much of them this process has.

    Raises:
        ModelLoadFailed: this machine, or this engine, can never hold it.
        MemoryError: it cannot now, beside what else is there.
    """
    needed = int(share * sum(file.stat().st_size for file in folder.glob("*.safetensors")))
    memory = psutil.virtual_memory()
    text = f"The model {model!r} needs {needed >> 20} MB for its weights;"
    if not fits(needed, memory.total):
        raise ModelLoadFailed(f"{text} this machine has {memory.total >> 20} MB of memory.")
    if budget is not None and needed > budget:
        raise too_large(model, needed, budget)
    if not fits(needed, memory.available):
        raise MemoryError(f"{text} {memory.available >> 20} MB of memory are free.")


def read_model(
    folder: Path, cpu: CpuPolicy | None, progress: LoadMeter, load: Load = load_text
) -> tuple[Any, dict[str, Any]]:
    """The model of a folder and its configuration, its weights in memory.

    Args:
        folder: with config.json and safetensors files.
        cpu: what becomes of the weights; None leaves them as they are.
        progress: counts every piece.
        load: makes the module, its weights not yet read.
    """
    model, config = load(folder)
    arrays = [array for _, array in tree_flatten(model.parameters())]
    progress.begin(sum(array.nbytes for array in arrays))
    for piece in _pieces(arrays):
        mx.eval(piece)
        progress.add(sum(array.nbytes for array in piece))
    if cpu is not None:
        _prepare(model, cpu, progress)
    return model, config


def _prepare(model: Any, cpu: CpuPolicy, progress: LoadMeter) -> None:
    """Have the weights as the kernels want them that the settings choose."""
    chosen = {"fp32": "always", "mlx": "never"}
    policy = chosen.get(cpu.kernels or "", cpu.dequantize)
    wanted = cpu.kernels == "int8" or (cpu.kernels == policy == "auto")
    if wanted and _is_quantised(model) and (cpu.kernels == "int8" or _int8_is_better(model, cpu)):
        _make_int8(model, cpu, progress)
    else:
        make_float32(model, policy, progress)


def fuse_encoder(model: Any) -> None:
    """Have an encoder's layers computed by onnxruntime, where it knows them, and give back what MLX had of them."""
    _kernels().fuse_encoder(model)
    clean()
    give_back()


def _int8_is_better(model: Any, cpu: CpuPolicy) -> bool:
    """What `auto` means: nothing that is measured, so that a restarted engine goes on with the same kernels."""
    if not fits_as_float32(model):
        return True
    return not cpu.packed_kv and _kernels().are_faster(model)


def fits_as_float32(model: Any, share: float = 1.0) -> bool:
    """Whether there is room for this share of a model in fp32."""
    return 4 * share * parameter_count(model) <= _MEMORY_SHARE * psutil.virtual_memory().available


def _is_quantised(model: Any) -> bool:
    return any(name.endswith(".scales") for name, _ in tree_flatten(model.parameters()))


def _kernels() -> ModuleType:
    from src.engine.mlx.kernels import install  # noqa: PLC0415  # brings onnxruntime

    return install


def _make_int8(model: Any, cpu: CpuPolicy, progress: LoadMeter) -> None:
    """Int8 kernels for all matrices that they take; the others are as without."""
    if _kernels().install(model, progress):
        model.set_dtype(mx.float32)
        mx.eval(model.parameters())
    else:
        make_float32(model, cpu.dequantize, progress)
    clean()
    give_back()


def _pieces(arrays: list[mx.array]) -> Iterator[list[mx.array]]:
    piece: list[mx.array] = []
    for array in arrays:
        piece.append(array)
        if sum(part.nbytes for part in piece) >= _PIECE_BYTES:
            yield piece
            piece = []
    if piece:
        yield piece


def parameter_count(model: Any) -> int:
    """Parameters, a quantised matrix counted by what it stands for."""
    total = _outside(model, "kernel_parameters")
    flat = dict(tree_flatten(model.parameters()))
    for name, array in flat.items():
        if name.endswith((".scales", ".biases")):
            continue
        scales = flat.get(name.removesuffix(".weight") + ".scales")
        packed = scales is not None and array.dtype == mx.uint32
        total += scales.size * _group_size(model, name) if packed and scales is not None else array.size
    return total


def make_float32(model: Any, policy: str, progress: LoadMeter) -> bool:
    """Turn all weights into fp32 if the policy (`auto`, `always`, `never`) and the free memory allow.

    Returns:
        Whether they are fp32 now.
    """
    if policy == "never" or (policy == "auto" and not fits_as_float32(model)):
        needed, free = 4 * parameter_count(model), psutil.virtual_memory().available
        logger.info("weights stay as they are: fp32 would take {} MB, {} MB are free", needed >> 20, free >> 20)
        return False
    dequantize_model(model)
    model.set_dtype(mx.float32)
    for piece in _pieces([array for _, array in tree_flatten(model.parameters())]):
        mx.eval(piece)
        progress.step()
    return True


def weight_bytes(model: Any) -> int:
    """Bytes of the weights, those that kernels hold outside MLX among them."""
    inside: int = sum(array.nbytes for _, array in tree_flatten(model.parameters()))
    return inside + _outside(model, "kernel_bytes")


def has_int8_kernels(model: Any) -> bool:
    return any(getattr(part, "kernel_bytes", 0) and not hasattr(part, "kernel_dtype") for part in model.modules())


def _outside(model: Any, what: str) -> int:
    """What modules of `kernels` count of what they hold."""
    return sum(int(getattr(module, what, 0)) for module in model.modules())


def _group_size(model: Any, name: str) -> int:
    module = model
    for part in name.split(".")[:-1]:
        module = module[int(part)] if part.isdigit() else getattr(module, part)
    return int(module.group_size)


def give_back() -> None:
    """Return freed memory to the system: glibc keeps what was freed in small pieces."""
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)


def clean() -> None:
    """Objects that only refer to each other, then the buffers that MLX keeps for the next ones of their size."""
    gc.collect()
    mx.clear_cache()
