"""The models as Codex reads them from /v1/models, beside OpenAI's list. Pure; called by `models`."""

from __future__ import annotations

from src.api.openai.schemas import ModelCard
from src.api.wire import Wire

# an agent with a word of its own for each model is told it by the server
_INSTRUCTIONS = (
    "You are a coding agent in the user's workspace. Work with the tools you are offered: read before you edit, make"
    " the smallest change that does what is asked, run what checks it, and say briefly what you did. When you are asked"
    " to change files, change them; when you are asked a question, answer it. Never undo what you did not do."
)


class TruncationPolicy(Wire, frozen=True):
    mode: str = "tokens"
    limit: int = 10_000


class CodexModel(Wire, frozen=True):
    """What Codex wants to know of a model; how it is offered tools follows from it."""

    slug: str
    display_name: str
    description: str
    context_window: int | None
    input_modalities: tuple[str, ...]
    priority: int
    base_instructions: str = _INSTRUCTIONS
    visibility: str = "list"
    supported_in_api: bool = True
    shell_type: str = "shell_command"
    apply_patch_tool_type: str = "freeform"
    default_reasoning_level: str | None = None
    supported_reasoning_levels: tuple[()] = ()
    supports_reasoning_summaries: bool = False
    supports_reasoning_summary_parameter: bool = False
    default_reasoning_summary: str = "none"
    support_verbosity: bool = False
    default_verbosity: None = None
    supports_parallel_tool_calls: bool = True
    supports_search_tool: bool = False
    truncation_policy: TruncationPolicy = TruncationPolicy()
    auto_compact_token_limit: int | None = None
    effective_context_window_percent: int = 95
    experimental_supported_tools: tuple[()] = ()
    upgrade: None = None


class CodexModelList(Wire, frozen=True):
    data: tuple[ModelCard, ...]
    models: tuple[CodexModel, ...]
    object: str = "list"


def codex_models(cards: tuple[ModelCard, ...]) -> tuple[CodexModel, ...]:
    """In the order of the list: the first has priority."""
    return tuple(
        CodexModel(
            card.id,
            card.id,
            "Served by Stoker.",
            card.context_length,
            ("text", "image") if "vision" in card.capabilities else ("text",),
            at,
        )
        for at, card in enumerate(cards)
        if "chat" in card.capabilities
    )
