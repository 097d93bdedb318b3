"""Opens a checkpoint's tokenizer in mlx-lm's wrapper, also where transformers refuses the configuration beside it.

Owner thread. What a tokenizer is stands in its own files; transformers reads config.json only to choose a class.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from huggingface_hub.errors import StrictDataclassError
from loguru import logger
from mlx_lm.utils import load_tokenizer
from transformers import PreTrainedConfig

from src.errors import ModelLoadFailed

# what transformers raises for a configuration that mlx-lm reads: its validators are stricter
_REFUSALS = (StrictDataclassError, TypeError, ValueError, LookupError, AttributeError)
_NO_CODE = {"trust_remote_code": False}


def override_template(wrapped: Any, file: Path | None) -> None:
    """Use a file's chat template (CHAT_TEMPLATE) instead of the checkpoint's.

    Raises:
        ModelLoadFailed: when it cannot be read.
    """
    if file is None:
        return
    try:
        wrapped.chat_template = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelLoadFailed(f"CHAT_TEMPLATE {str(file)!r} cannot be read: {error}") from None
    wrapped.has_chat_template = True


def open_tokenizer(folder: Path, eos_token_ids: Any = None) -> Any:
    """The tokenizer of a folder; its first refusal counts where the files alone do not make one either."""
    try:
        return load_tokenizer(folder, dict(_NO_CODE), eos_token_ids=eos_token_ids)
    except _REFUSALS as error:
        if not (folder / "tokenizer.json").is_file():
            raise
        logger.info("transformers refuses the configuration ({}); tokenizer.json is read alone", type(error).__name__)
        return _by_its_files(folder, eos_token_ids, error)


def _by_its_files(folder: Path, eos_token_ids: Any, refusal: Exception) -> Any:
    try:
        return load_tokenizer(folder, {**_NO_CODE, "config": PreTrainedConfig()}, eos_token_ids=eos_token_ids)
    except _REFUSALS:
        raise refusal from None
