"""Writes tiny random checkpoints of mlx-vlm's architectures: configurations, tokenizer, processor and weights."""

from __future__ import annotations

import dataclasses
import importlib
import json
import pkgutil
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx_vlm.models
from mlx.utils import tree_flatten
from mlx_vlm.utils import update_module_configs

from tests.architectures.tiny import SIZES, of_type
from tests.architectures.vision import tokens
from tests.architectures.vision.excluded import EXCLUDED
from tests.architectures.vision.recipes import RECIPES, Recipe

_PARTS = ("text", "vision", "perceiver", "projector", "audio")
_EYES: dict[str, Any] = {
    "hidden_size": 64, "embed_dim": 64, "width": 64, "intermediate_size": 128, "num_hidden_layers": 2, "depth": 2,
    "layers": 2, "num_attention_heads": 4, "num_key_value_heads": 4, "num_heads": 4, "head_dim": 16, "image_size": 32,
    "patch_size": 8, "spatial_patch_size": 8, "projection_dim": 64, "out_hidden_size": 64, "num_channels": 3,
    "in_channels": 3, "spatial_merge_size": 2, "window_size": 32, "mlp_ratio": 2, "layer_norm_eps": 1e-5,
    "rms_norm_eps": 1e-5, "norm_eps": 1e-5, "initializer_range": 0.02, "rope_theta": 10000.0,
    "projector_input_dim": 64, "projector_output_dim": 64, "vision_output_dim": 64, "projector_dropout": 0.0,
    "pixel_shuffle_ratio": 0.5, "vision_feature_layer": -1, "vision_feature_select_strategy": "default",
    "model_type": "siglip_vision_model",
}  # fmt: skip
_OTHERS = {"text": SIZES | {"num_hidden_layers": 2, "layers": 2, "model_type": "llama"}, "vision": _EYES}


def names() -> list[str]:
    """The architectures that a recipe is there for."""
    return sorted(RECIPES)


def modules() -> list[str]:
    """Every architecture of the installed mlx-vlm."""
    return sorted(module.name for module in pkgutil.iter_modules(mlx_vlm.models.__path__) if module.ispkg)


def config(name: str, ids: dict[str, int]) -> dict[str, Any]:
    """A configuration that the architecture takes, as small as it may be."""
    module, recipe = importlib.import_module(f"mlx_vlm.models.{name}"), RECIPES[name]
    own = {one.name for one in dataclasses.fields(module.ModelConfig)}
    size = max(ids.values()) + 1
    made = _filled(module.ModelConfig, SIZES, size)
    for part in _PARTS:
        if f"{part}_config" in own and (kind := getattr(module, f"{part.title()}Config", None)) is not None:
            made[f"{part}_config"] = _filled(kind, _OTHERS.get(part, {}), size) | _given(recipe, part, kind)
    named = {key: ids[mark] for key, mark in recipe.ids.items() if key in own}
    if recipe.flat:  # these classes look for the text's fields beside the pictures'
        made |= made.pop("text_config")
    found = made | {"eos_token_id": [ids["<|endoftext|>"]], "pad_token_id": ids["<|endoftext|>"]} | named
    return found | {"model_type": recipe.as_type or name, "vocab_size": size} | dict(recipe.top)


def _given(recipe: Recipe, part: str, kind: Any) -> dict[str, Any]:
    """What the recipe says of a part; some classes refuse what they do not know."""
    given, own = {"text": recipe.text, "vision": recipe.vision} | dict(recipe.parts), dataclasses.fields(kind)
    return {key: value for key, value in given.get(part, {}).items() if key in {one.name for one in own}}


def _filled(arguments: Any, sizes: dict[str, Any], vocabulary: int) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for one in dataclasses.fields(arguments):
        required = one.default is dataclasses.MISSING and one.default_factory is dataclasses.MISSING
        if one.name.endswith("_config"):
            continue
        if one.name == "vocab_size":
            made[one.name] = vocabulary
        elif one.name in sizes and (required or (one.name != "model_type" and _is_size(one.default))):
            made[one.name] = sizes[one.name]
        elif required:
            made[one.name] = of_type(str(one.type))
    return made


def _is_size(default: Any) -> bool:
    return not isinstance(default, bool | None.__class__)


def write(name: str, folder: Path) -> Path:
    """A checkpoint with random weights, its processor's files, and a tokenizer of bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    recipe = RECIPES[name]
    ids = tokens.write(folder, recipe.mark, recipe.names, recipe.template)
    made = config(name, ids)
    (folder / "config.json").write_text(json.dumps(made))
    for file, fields in (("processor_config", recipe.processor), ("preprocessor_config", recipe.preprocessor)):
        if fields:
            (folder / f"{file}.json").write_text(json.dumps(dict(fields)))
    model = _model(name, json.loads(json.dumps(made)))
    weights = {key: _alive(value) for key, value in tree_flatten(model.parameters())}
    mx.save_safetensors(str(folder / "model.safetensors"), weights, metadata={"format": "mlx"})
    return folder


def _model(name: str, made: dict[str, Any]) -> Any:
    """As mlx-vlm's `load_model` makes it."""
    module = importlib.import_module(f"mlx_vlm.models.{name}")
    made.setdefault("text_config", {})
    made.setdefault("vision_config", {})
    made.setdefault("audio_config", {})
    parsed = module.ModelConfig.from_dict(made)
    mx.random.seed(7)
    return module.Model(update_module_configs(parsed, module, made, list(_PARTS)))


def _alive(value: mx.array) -> mx.array:
    """Gates and biases that begin as zeros would hide what is behind them."""
    if not mx.issubdtype(value.dtype, mx.floating) or value.abs().max().item():
        return value
    return (0.1 * mx.random.normal(value.shape)).astype(value.dtype)


def untried() -> dict[str, str]:
    """The architectures that look at pictures and have no recipe here, and why."""
    places = [Path(place) for place in mlx_vlm.models.__path__]
    found = {name: EXCLUDED.get(name, "no recipe of ours yet") for name in modules() if name not in RECIPES}
    return {name: why for name, why in found.items() if name in EXCLUDED or _sees(places, name)}


def _sees(places: list[Path], name: str) -> bool:
    """By its files: many modules are texts' alone."""
    configs = [place / name / part for place in places for part in ("config.py", "__init__.py")]
    return any(file.is_file() and "VisionConfig" in file.read_text(encoding="utf-8") for file in configs)
