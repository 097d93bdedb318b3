"""`python -m src.engine.check --model NAME`: what an engine here would be, as one line of JSON for `run.py check`.

A process of its own, since it imports MLX. Nothing is loaded.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from src import catalog, selection
from src.engine import checkpoint, loading
from src.errors import ExitCode, ModelLoadFailed
from src.gpu import blas
from src.settings import Settings, SettingsError, load


def main(argv: list[str]) -> ExitCode:
    parser = argparse.ArgumentParser(prog="python -m src.engine.check")
    parser.add_argument("--model", required=True)
    model = parser.parse_args(argv).model
    try:
        facts = examine(model, load())
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return ExitCode.CONFIG
    sys.stdout.write(json.dumps(facts) + "\n")
    return ExitCode.OK if facts["problem"] is None else ExitCode.MODEL


def examine(model: str, settings: Settings) -> dict[str, str | None]:
    """What was found; `problem` is None when this engine could serve."""
    chosen = selection.select(model, settings)
    facts: dict[str, str | None] = {"engine": chosen.engine, "why": chosen.why, "model": model, "problem": None}
    if chosen.engine == "fake":
        return facts
    if chosen.engine in selection.UPSTREAM:
        return facts | _upstream_facts(model, chosen.engine, settings)
    facts["blas"] = blas.preload(settings.blas_library)
    try:
        from src.engine.mlx.device import choose_device

        device = choose_device(settings, facts["blas"])
        facts |= {"device": device.kind, "device_name": device.name, "mlx_version": device.mlx_version}
        facts |= _model_facts(model, settings) | _rank_facts(model, settings)
    except ModelLoadFailed as error:
        facts["problem"] = error.message
    except ImportError as error:
        facts["problem"] = f"MLX cannot be imported: {error}"
    return facts


def _upstream_facts(model: str, engine: selection.Engine, settings: Settings) -> dict[str, str | None]:
    if settings.upstream_url:
        return {"server": "remote (UPSTREAM_URL)"}
    from src.engine.upstream.main import arguments

    try:
        return {"command": " ".join(arguments(model, engine, settings, 0))}
    except ModelLoadFailed as error:
        return {"problem": error.message}


def _model_facts(model: str, settings: Settings) -> dict[str, str | None]:
    if selection.model_format(model, settings.models_path) == "gguf":
        return _gguf_facts(model, settings)
    folder = checkpoint.locate(model, settings.models_path)
    config = checkpoint.read_config(folder)
    return {
        "model_path": str(folder),
        "architecture": str(config.get("model_type")),
        "context_length": str(catalog.context_length(config, settings.max_model_len)),
        "weights": _weights(folder),
    }


def _rank_facts(model: str, settings: Settings) -> dict[str, str | None]:
    """Each host of ENGINE_HOSTS is asked what it has, if the model is divided at all."""
    if not (hosts := loading.ranks_of(model, settings)):
        return {}
    from src.engine.ranks import leader

    return {"ranks": leader.check(model, settings, hosts)}


def _gguf_facts(model: str, settings: Settings) -> dict[str, str | None]:
    """By the file's header; it is converted when it is loaded."""
    from src.engine.mlx.gguf import store
    from src.engine.mlx.gguf.architectures import configuration
    from src.engine.mlx.gguf.metadata import read

    files = store.sources(model, settings)
    config = configuration(read(files))
    return {
        "model_path": str(files[0]),
        "architecture": str(config["model_type"]),
        "context_length": str(catalog.context_length(config, settings.max_model_len)),
        "weights": f"{sum(file.stat().st_size for file in files) / 1e6:.1f} MB of GGUF in {len(files)} file(s)",
    }


def _weights(folder: Path) -> str:
    files = list(folder.glob("*.safetensors"))
    if not files:
        raise ModelLoadFailed(f"{folder} has no .safetensors file.")
    return f"{sum(file.stat().st_size for file in files) / 1e6:.1f} MB in {len(files)} file(s)"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
