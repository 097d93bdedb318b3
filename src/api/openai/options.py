"""What a chat body asks for beyond its messages, as the engine takes it: sampling, choices, format, tools. Pure."""

from __future__ import annotations

import json

from src.api.openai import custom_input, forms
from src.api.openai.schemas import (
    AllowedToolsChoice,
    ChatCompletionRequest,
    CustomDef,
    CustomToolIn,
    NamedCustomChoice,
    NamedToolChoice,
    ToolIn,
)
from src.errors import InvalidRequest
from src.ipc.messages.chat import Choice, InputFormat, Sampling, Tool, ToolChoice

_SEEDS = 1 << 63
_MAX_SWITCHES = 32


def sampling(body: ChatCompletionRequest, chance: int) -> Sampling:
    """How tokens are chosen; `chance` is the seed of a request that names none, so that it too can be gone on with."""
    if body.top_logprobs is not None and not body.logprobs:
        raise InvalidRequest("top_logprobs needs logprobs: true.", param="top_logprobs")
    return Sampling(
        temperature=body.temperature,
        top_p=body.top_p,
        top_k=None if body.top_k is None else max(0, body.top_k),
        min_p=body.min_p,
        frequency_penalty=body.frequency_penalty or 0.0,
        presence_penalty=body.presence_penalty or 0.0,
        repetition_penalty=body.repetition_penalty,
        logit_bias={int(token): float(bias) for token, bias in (body.logit_bias or {}).items()},
        seed=(chance if body.seed is None else body.seed) % _SEEDS,
        seeded=body.seed is not None,
        ignore_eos=bool(body.ignore_eos),
        logprobs=(body.top_logprobs or 0) if body.logprobs else None,
    )


def choices(body: ChatCompletionRequest) -> tuple[Choice, ...]:
    """None for the one answer everybody asks for."""
    return () if body.n in (None, 1) else tuple(map(Choice, range(body.n or 1)))


def tools(body: ChatCompletionRequest) -> tuple[tuple[Tool, ...], ToolChoice]:
    """The functions the model may call, and whether it must.

    Raises:
        InvalidRequest: for a choice among tools that are not there.
    """
    offered = tuple(map(_tool, body.tools or ()))
    names = [tool.name for tool in offered]
    if len(set(names)) < len(names):
        raise InvalidRequest("Two tools have the same name.", param="tools")
    choice = _choice(body, names)
    if isinstance(body.tool_choice, AllowedToolsChoice):
        allowed = set(map(_named, _allowed(body)))
        offered = tuple(tool for tool in offered if tool.name in allowed)
    if choice.mode in ("required", "named") and (param := forms.param_of(body)) is not None:
        raise InvalidRequest(f"A required tool call and {param} exclude each other.", param=param)
    return (() if choice.mode == "none" else offered), choice


def _tool(tool: ToolIn | CustomToolIn) -> Tool:
    if isinstance(tool, CustomToolIn):
        form = _form(tool.custom)
        said = custom_input.described(tool.custom.description, form)
        return Tool(tool.custom.name, said, json.dumps(custom_input.PARAMETERS), form)
    function = tool.function
    if function.parameters is None:
        return Tool(function.name, function.description)
    return Tool(function.name, function.description, json.dumps(function.parameters), strict=function.strict is True)


def _form(custom: CustomDef) -> InputFormat | None:
    form = custom.format
    if form is None or form.type == "text":
        return None
    if form.grammar is None:
        raise InvalidRequest("A format of type grammar needs its grammar.", param="tools")
    return InputFormat(form.grammar.syntax, form.grammar.definition)


def _allowed(body: ChatCompletionRequest) -> list[NamedToolChoice | NamedCustomChoice]:
    wish = body.tool_choice
    return wish.allowed_tools.tools if isinstance(wish, AllowedToolsChoice) else []


def _named(choice: NamedToolChoice | NamedCustomChoice) -> str:
    return (choice.function if isinstance(choice, NamedToolChoice) else choice.custom).name


def _choice(body: ChatCompletionRequest, names: list[str]) -> ToolChoice:
    parallel = body.parallel_tool_calls is not False
    wish = body.tool_choice
    if wish in ("none", "auto", None):
        return ToolChoice("none" if wish == "none" or not names else "auto", None, parallel)
    if not names:
        raise InvalidRequest("tool_choice needs tools.", param="tool_choice")
    wanted = [wish] if isinstance(wish, NamedToolChoice | NamedCustomChoice) else _allowed(body)
    if not {_named(one) for one in wanted} <= set(names):
        raise InvalidRequest("tool_choice names a tool that is not in tools.", param="tool_choice")
    if isinstance(wish, NamedToolChoice | NamedCustomChoice):
        return ToolChoice("named", _named(wish), False)
    auto = isinstance(wish, AllowedToolsChoice) and wish.allowed_tools.mode == "auto"
    return ToolChoice("auto" if auto else "required", None, parallel)


def template_options(body: ChatCompletionRequest) -> dict[str, bool | int | float | str]:
    """Switches for the chat template, beyond those that have fields of their own."""
    given = body.chat_template_kwargs.model_extra if body.chat_template_kwargs is not None else None
    if given and len(given) > _MAX_SWITCHES:
        raise InvalidRequest(
            f"chat_template_kwargs has more than {_MAX_SWITCHES} entries.", param="chat_template_kwargs"
        )
    return {name: value for name, value in (given or {}).items() if value is not None}


def thinking(body: ChatCompletionRequest) -> bool | None:
    """Whether a reasoning model shall think; None leaves it to the model."""
    options = body.chat_template_kwargs
    if options is not None and options.enable_thinking is not None:
        return options.enable_thinking
    return None if body.reasoning_effort is None else body.reasoning_effort != "none"


def continue_final(body: ChatCompletionRequest) -> bool:
    """Whether the answer goes on inside the last turn.

    Raises:
        InvalidRequest: for a last turn that is not the assistant's, and flags that contradict each other.
    """
    wished = bool(body.continue_final_message)
    if body.add_generation_prompt is not None and body.add_generation_prompt == wished:
        text = "add_generation_prompt must be the opposite of continue_final_message."
        raise InvalidRequest(text, param="add_generation_prompt")
    last = body.messages[-1]
    if wished and (last.role != "assistant" or last.tool_calls or not last.content):
        text = "continue_final_message needs a last turn of the assistant's, with text and without calls."
        raise InvalidRequest(text, param="continue_final_message")
    return wished
