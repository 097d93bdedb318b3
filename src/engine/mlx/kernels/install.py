"""Puts int8 kernels in the place of a model's quantised layers (CPU_KERNELS=int8), and fused ones in the place of an
encoder's. Owner thread, at load.
"""

from __future__ import annotations

from typing import Any

import mlx.core as mx
from loguru import logger
from mlx import nn

from src.engine.mlx.kernels import attention, blocks, encoder
from src.engine.mlx.kernels.matrices import matrix_of, supported
from src.engine.mlx.kernels.modules import Int8GatedMlp, Int8Module, PackedEmbedding, shared_linears
from src.engine.mlx.kernels.processor import has_dot_products
from src.engine.mlx.kernels.products import row_multiple
from src.engine.progress import LoadMeter

_SAME_INPUT = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))
_HEAD = "lm_head"
_GATED = ("gate_proj", "up_proj", "down_proj")
_CLOSE = 0.05  # relative error of an MLP in 8 bits that is the one it is taken for


def are_faster(model: Any) -> bool:
    """Whether they beat fp32 for this model: those that wait once a layer do, on a processor with the instructions."""
    quantised = [module for module in model.modules() if _quantised(module)]
    return all(map(supported, quantised)) and any(map(blocks.fit, _lists(model))) and has_dot_products()


def install(model: Any, progress: LoadMeter) -> bool:
    """Replace what can be replaced, and say what cannot; whether that is all."""
    if not _even(model):
        return False
    tied = not any(name.endswith(_HEAD) for name, _ in model.named_modules())
    taken = _link(model, progress) + _install(model, _Gates(), progress, tied=tied)
    for module in list(model.modules()):
        if any(f"{letter}_proj" in module for letter in "qo") and not attention.make_exact(module):
            logger.info("{} has an attention of its own", type(module).__name__)
    left = [module for module in model.modules() if _quantised(module)]
    if left:
        kinds = sorted({f"{module.bits} bits in groups of {module.group_size} ({module.mode})" for module in left})
        logger.warning("int8 kernels: {} matrices are not taken: {}", len(left), "; ".join(kinds))
    logger.info(
        "int8 kernels: {} matrices; their activations are rounded to 8 bits: last digits differ from fp32", taken
    )
    return not left


def fuse_encoder(model: Any) -> None:
    """Have an encoder's layers computed by onnxruntime, in fp32, where they are of a kind that it fuses."""
    if encoder.fuse(model):
        logger.info("the layers of {} are computed by onnxruntime", model.config.model_type)


def _even(model: Any) -> bool:
    """Whether this processor's kernels compute a row alike in any company, for all kinds of matrices here."""
    kinds = {(module.bits, module.group_size) for module in model.modules() if _quantised(module) and supported(module)}
    try:
        for bits, group in kinds:
            row_multiple(bits, group)
    except ArithmeticError as error:
        logger.warning("{}; int8 kernels are not used", error)
        return False
    return True


def _link(model: Any, progress: LoadMeter) -> int:
    return sum(blocks.link(found, progress) for found in _lists(model))


def _lists(model: Any) -> list[list[Any]]:
    children = (value for module in model.modules() for value in module.children().values())
    return [value for value in children if isinstance(value, list) and value]


def _quantised(module: Any) -> bool:
    return isinstance(getattr(module, "bits", None), int) and not isinstance(module, Int8Module)


def _install(parent: Any, gates: _Gates, progress: LoadMeter, *, tied: bool) -> int:
    taken = _install_below(parent, gates, tied=tied)
    progress.step()
    left = (child for _, child in _children(parent) if not isinstance(child, Int8Module))
    return taken + sum(_install(child, gates, progress, tied=tied) for child in left)


def _install_below(parent: Any, gates: _Gates, *, tied: bool) -> int:
    """Replace the quantised layers right below a module."""
    taken = 0
    for name, child in _children(parent):
        if isinstance(child, nn.QuantizedEmbedding) and supported(child):
            _put(parent, name, PackedEmbedding(child, head=tied))
            taken += 1
        elif gates.fits(child):
            _put(parent, name, gates.replacement(child))
            taken += len(_GATED)
    linears = {name: child for name, child in _children(parent) if _linear(child)}
    for names in _SAME_INPUT:
        if all(name in linears for name in names):
            taken += _replace(parent, {name: linears.pop(name) for name in names})
    return taken + sum(_replace(parent, {name: child}) for name, child in linears.items())


def _replace(parent: Any, found: dict[Any, Any]) -> int:
    """Replace linear layers that have the same input."""
    for name, new in zip(found, shared_linears(list(found.values()), head=_HEAD in found), strict=True):
        _put(parent, name, new)
    return len(found)


def _children(parent: Any) -> list[tuple[Any, Any]]:
    """Modules right below, by name, or by place in a list."""
    found: list[tuple[Any, Any]] = []
    for name, value in parent.children().items():
        if isinstance(value, nn.Module):
            found.append((name, value))
        elif isinstance(value, list):
            found += [((name, at), child) for at, child in enumerate(value) if isinstance(child, nn.Module)]
    return found


def _put(parent: Any, name: Any, new: Any) -> None:
    if isinstance(name, tuple):
        parent[name[0]][name[1]] = new
    else:
        setattr(parent, name, new)


def _linear(module: Any) -> bool:
    return isinstance(module, nn.QuantizedLinear) and supported(module)


class _Gates:
    """Gated MLPs that are what their layers' names say: the first of each class is computed both ways."""

    def __init__(self) -> None:
        self._known: dict[type[Any], bool] = {}
        self._made: dict[int, Int8GatedMlp] = {}

    def fits(self, module: Any) -> bool:
        parts = dict(_children(module))
        if set(parts) != set(_GATED) or not all(map(_linear, parts.values())):
            return False
        if type(module) not in self._known:
            self._known[type(module)] = self._same(module)
        return self._known[type(module)]

    def replacement(self, module: Any) -> Int8GatedMlp:
        return self._made.pop(id(module), None) or Int8GatedMlp(*(matrix_of(module[name]) for name in _GATED))

    def _same(self, module: Any) -> bool:
        new = Int8GatedMlp(*(matrix_of(module[name]) for name in _GATED))
        width = matrix_of(module[_GATED[0]]).inputs
        probe = mx.random.normal((1, width), key=mx.random.key(1))
        try:
            wanted, found = module(probe), new(probe)
        except (TypeError, ValueError):  # one that is called with more
            return False
        error = mx.linalg.norm(found - wanted) / mx.maximum(mx.linalg.norm(wanted), 1e-20)
        self._made[id(module)] = new
        return bool(error < _CLOSE)
