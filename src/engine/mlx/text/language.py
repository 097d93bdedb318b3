"""Which family a loaded tokenizer speaks as, said at load; the tokens that end its turns. Owner thread."""

from __future__ import annotations

from typing import Any

from src import logs
from src.engine.families.formats import Language
from src.engine.families.recognition import Signs, recognise
from src.engine.mlx.text.tokenizer import template_text
from src.settings import EngineSettings


def speak(model: str, wrapped: Any, settings: EngineSettings) -> Language:
    """The language of a model; the wrapped tokenizer learns what ends its turns."""
    vocabulary = wrapped.get_vocab()
    signs = Signs(template_text(wrapped), vocabulary)
    language = recognise(signs, settings.tool_format, settings.reasoning_format)
    for end in language.ends:
        if end in vocabulary:
            wrapped.add_eos_token(str(vocabulary[end]))
    tools = language.tools.name if language.tools is not None else "none"
    reasoning = language.reasoning.name if language.reasoning is not None else "none"
    logs.model.info("{}: family {}, reasoning {}, tools {}", model, language.family, reasoning, tools)
    if language.unknown_tools:
        logs.model.warning(
            "{}: the chat template offers tools in an unknown format; calls come as text. TOOL_FORMAT names it.",
            model,
        )
    return language
