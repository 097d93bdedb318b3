"""Opens a checkpoint's tokenizer in mlx-lm's wrapper, also where transformers refuses the configuration beside it.

Owner thread. What a tokenizer is stands in its own files; transformers reads config.json only to choose a class.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from huggingface_hub.errors import StrictDataclassError
from loguru import logger
from mlx_lm.tokenizer_utils import BPEStreamingDetokenizer, TokenizerWrapper
from mlx_lm.utils import load_tokenizer
from transformers import PreTrainedConfig
from transformers.integrations.mistral import convert_tekken_tokenizer
from transformers.integrations.mistral.constants import TEKKEN_VOCAB_FILE

from src.errors import ModelLoadFailed

# what transformers raises for a configuration that mlx-lm reads: its validators are stricter
_REFUSALS = (StrictDataclassError, TypeError, ValueError, LookupError, AttributeError)
# with mistral-common installed, transformers would leave a checkpoint's tokenizer.json for its tekken.json
_NO_CODE = {"trust_remote_code": False, "mistral_format": False}
_OTHERS = ("tokenizer.json", "tokenizer.model")


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
    tekken = folder / TEKKEN_VOCAB_FILE
    if tekken.is_file() and not any((folder / name).is_file() for name in _OTHERS):
        return _from_tekken(tekken, eos_token_ids)
    try:
        return load_tokenizer(folder, dict(_NO_CODE), eos_token_ids=eos_token_ids)
    except _REFUSALS as error:
        if not (folder / "tokenizer.json").is_file():
            raise
        logger.info("transformers refuses the configuration ({}); tokenizer.json is read alone", type(error).__name__)
        return _by_its_files(folder, eos_token_ids, error)


def _from_tekken(file: Path, eos_token_ids: Any) -> Any:
    """Mistral's own file, as transformers converts it. The chat template is the folder's, or what mistral-common says.

    Raises:
        ModelLoadFailed: for a file that names no special tokens, where mistral-common is not installed.
    """
    try:
        made = convert_tekken_tokenizer(str(file))
    except ImportError as error:
        text = "Its tekken.json is of an old kind, which mistral-common reads: pip install mistral-common"
        raise ModelLoadFailed(text) from error
    if made.chat_template is None:
        logger.warning("tekken.json has no chat template: set CHAT_TEMPLATE, or pip install mistral-common")
    ends = [eos_token_ids] if isinstance(eos_token_ids, int) else eos_token_ids
    return TokenizerWrapper(made, BPEStreamingDetokenizer, eos_token_ids=ends)


def _by_its_files(folder: Path, eos_token_ids: Any, refusal: Exception) -> Any:
    try:
        return load_tokenizer(folder, {**_NO_CODE, "config": PreTrainedConfig()}, eos_token_ids=eos_token_ids)
    except _REFUSALS:
        raise refusal from None
