"""Where a model's files are: a folder under MODELS_DIR, a path from the settings, or the Hugging Face cache. No MLX
here, and nothing is fetched: `run.py pull` does that (docs/adr/0012).
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from src.errors import ModelLoadFailed
from src.installation import command
from src.ipc.messages.chat import Sampling
from src.settings import SHIPPED_MODELS, home

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_LOADED = ("*.json", "*.jinja", "*.txt", "*.model", "*.tiktoken", "model*.safetensors")


def locate(model: str, models_path: Path) -> Path:
    """Find a model's folder by the name in the settings (never by one from a request).

    Raises:
        ModelLoadFailed: when it is not here; the text says how to get it.
    """
    for folder in (models_path / model, SHIPPED_MODELS / model, home() / Path(model).expanduser()):
        if (folder / "config.json").is_file():
            return folder
    if not _HUB_ID.fullmatch(model):
        raise ModelLoadFailed(
            f"No model {model!r}: there is no folder with a config.json at {models_path / model}, "
            "and it is no id of a hub (owner/name). Set DEFAULT_MODEL."
        )
    if (cached := _in_cache(model)) is not None:
        return cached
    raise ModelLoadFailed(f"The model {model!r} is not here. Fetch it: {command(f'pull {model}')}")


def _in_cache(model: str) -> Path | None:
    """Where other programs of this user that use the hub's library put it."""
    from huggingface_hub import snapshot_download  # only for models that are not in MODELS_DIR
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(model, local_files_only=True, allow_patterns=list(_LOADED)))
    except (LocalEntryNotFoundError, ValueError):  # ValueError: no id the hub would take
        return None


def read_config(folder: Path) -> dict[str, Any]:
    """config.json of a checkpoint.

    Raises:
        ModelLoadFailed: when it is missing or no JSON object.
    """
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelLoadFailed(f"{folder / 'config.json'} cannot be read: {error}") from None
    if not isinstance(config, dict):
        raise ModelLoadFailed(f"{folder / 'config.json'} is not a JSON object.")
    return config


def fitting_context(own: int, per_token: int, room_bytes: int) -> int:
    """The context, bounded by what its KV cache may take: a request beyond it is refused, not tried."""
    return max(1, min(own, room_bytes // per_token)) if per_token else own


def vocabulary_size(config: dict[str, Any], tokens: int) -> int:
    """Token ids the model can give; some models have more than their tokenizer knows (padding)."""
    text = config.get("text_config", {})
    return max(int(config.get("vocab_size") or text.get("vocab_size") or 0), tokens)


def default_sampling(folder: Path) -> Sampling:
    """What the model's makers recommend (generation_config.json); 1.0 and no filters where they say nothing."""
    try:
        config = json.loads((folder / "generation_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        config = {}
    greedy = config.get("do_sample") is False
    return Sampling(
        temperature=0.0 if greedy else float(config.get("temperature") or 1.0),
        top_p=1.0 if greedy else float(config.get("top_p") or 1.0),
        top_k=0 if greedy else int(config.get("top_k") or 0),
        min_p=0.0 if greedy else float(config.get("min_p") or 0.0),
        repetition_penalty=float(config.get("repetition_penalty") or 1.0),
    )
