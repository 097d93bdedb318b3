"""What kinds of OpenAI server there are, by their own word in /v1/models, and where they differ. Data, and pure.

Checked against the sources of vLLM 0.32 (entrypoints/openai) and of llama.cpp as llama-cpp-python 0.3.36 carries it
(tools/server, llama_cpp/server); docs/engines.md says what was run.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from msgspec.structs import replace

from src.engine.backend import INPUT_FORM, chooses_formed_inputs
from src.engine.upstream.calls import is_forced
from src.errors import UnsupportedValue
from src.ipc.messages.chat import AnswerForm, GenerateRequest, Tool


@dataclass(frozen=True)
class Dialect:
    """How one kind of server is asked for what OpenAI's API has no field for.

    `always` goes with every request, `usage` into its stream_options. `seeds`: how many there are. `lacks`: fields it
    would take and ignore. `forces_tools`: whether a tool that must be called is, whatever the model and the command.
    `switches`: whether its chat template can be given any. `cuts_answers`: an answer's length is cut to the context
    without a word. `continues`: asks for an answer inside the last turn. `tokens`: where text becomes token ids.
    `apart`: keeps one API key's prompts out of another's. `tells_progress`: how much of a prompt it has computed.
    `form`: asks for an answer that is no JSON; None where it cannot. `token_ids`: asks for its tokens' ids.
    """

    name: str
    always: dict[str, Any] = field(default_factory=dict)
    usage: dict[str, Any] = field(default_factory=lambda: {"include_usage": True})
    repetition_penalty: str = "repetition_penalty"
    seeds: int = 1 << 63
    lacks: frozenset[str] = frozenset()
    forces_tools: bool = True
    raw_schema: bool = True
    switches: bool = True
    cuts_answers: bool = False
    continues: dict[str, Any] = field(
        default_factory=lambda: {"continue_final_message": True, "add_generation_prompt": False}
    )
    least_logprobs: int = 0
    tokens: str = "/tokenize"
    apart: Callable[[str], dict[str, Any]] = lambda _: {}
    tells_progress: bool = False
    form: Callable[[AnswerForm], dict[str, Any] | None] = lambda _: None
    token_ids: dict[str, Any] = field(default_factory=dict)


_VLLM_FORMS = {"regex": "regex", "lark": "grammar"}

# any other server: what it does with an unknown field is not known
OPENAI = Dialect("openai")
VLLM = Dialect(
    "vllm",
    usage={"include_usage": True, "continuous_usage_stats": True},
    forces_tools=False,
    apart=lambda salt: {"cache_salt": salt},
    form=lambda form: {"structured_outputs": {_VLLM_FORMS[form.syntax]: form.definition}},
    token_ids={"return_token_ids": True},
)
LLAMA_SERVER = Dialect(
    "llama-server",
    always={"return_progress": True},
    repetition_penalty="repeat_penalty",
    seeds=(1 << 32) - 1,
    lacks=frozenset({"logprobs with tools"}),
    forces_tools=False,
    raw_schema=False,
    cuts_answers=True,
    continues={},  # it goes on with a last turn of the assistant's by itself
    least_logprobs=1,
    apart=lambda _: {"cache_prompt": False},  # its cache of prompts knows no owners
    tells_progress=True,
    # a token's id stands beside its probability; after sampling there is one, which costs nothing
    token_ids={"n_probs": 1, "post_sampling_probs": True, "timings_per_token": True},
)
LLAMA_CPP_PYTHON = Dialect(
    "llama_cpp.server",
    always={"repeat_penalty": 1.0},  # its own default, 1.1, is no other server's
    repetition_penalty="repeat_penalty",
    seeds=(1 << 32) - 1,
    lacks=frozenset({"n", "ignore_eos", "tools", "prompt", "response_format of a prompt", "messages that end inside"}),
    forces_tools=False,
    raw_schema=False,
    switches=False,
    least_logprobs=1,
    tokens="/extras/tokenize",
)
PROGRESS = "stream_options.include_progress"
_SWITCHES = ("enable_thinking", "reasoning_effort")
_SEES = ("vision", "multimodal")
_BY_OWNER = {"vllm": VLLM, "llamacpp": LLAMA_SERVER, "me": LLAMA_CPP_PYTHON}


class _Meta(msgspec.Struct):
    n_vocab: int | None = None
    n_ctx: int | None = None
    n_params: int | None = None
    size: int | None = None
    ftype: str | None = None


class _Card(msgspec.Struct):
    id: str
    owned_by: str = ""
    max_model_len: int | None = None
    context_length: int | None = None
    meta: _Meta | None = None
    capabilities: Any = None
    architecture: Any = None


class _Cards(msgspec.Struct):
    data: list[_Card]


@dataclass(frozen=True)
class ServerFacts:
    """What a server says of itself. `slots`: answers computed together; `template`: chat's; `reads_images`. None: it
    is silent.

    `revision` (`ModelInfo`) is not the server's word: no server tells.
    """

    dialect: Dialect
    model: str
    context_length: int = 0
    vocabulary: int | None = None
    parameters: int | None = None
    weight_bytes: int | None = None
    quantization: str | None = None
    slots: int | None = None
    template: str | None = None
    takes_tools: bool = True
    reads_images: bool | None = None
    revision: str = ""


class NoSuchModel(Exception):
    """The server has several models, and none of that name."""


def recognise(models: bytes, wanted: str, *, any_name: bool = True) -> ServerFacts:
    """What answers, from its /v1/models; its only model is the wanted one, unless the name must be `wanted`.

    Raises:
        NoSuchModel: with the names there are.
        msgspec.DecodeError: when this is no list of models.
    """
    cards = msgspec.json.decode(models, type=_Cards).data
    card = next((card for card in cards if card.id == wanted), None) or (
        cards[0] if any_name and len(cards) == 1 else None
    )
    if card is None:
        raise NoSuchModel(", ".join(card.id for card in cards) or "none")
    meta = card.meta or _Meta()
    return ServerFacts(
        _BY_OWNER.get(card.owned_by, OPENAI),
        card.id,
        card.max_model_len or card.context_length or meta.n_ctx or 0,
        meta.n_vocab,
        meta.n_params,
        meta.size,
        meta.ftype,
        reads_images=False if card.owned_by == "me" else _sees(card),
    )


def _sees(card: _Card) -> bool | None:
    """What /v1/models says of images, as OpenRouter, Mistral, llama.cpp and this server write it; None: nothing."""
    if isinstance(card.architecture, dict) and isinstance(inputs := card.architecture.get("input_modalities"), list):
        return "image" in inputs
    if isinstance(card.capabilities, dict) and isinstance(vision := card.capabilities.get("vision"), bool):
        return vision
    return True if isinstance(card.capabilities, list) and any(one in _SEES for one in card.capabilities) else None


def refuse(request: GenerateRequest, facts: ServerFacts) -> None:
    """Raise UnsupportedValue for the first field this server would accept and ignore."""
    asked = {
        "n": len(request.choices) > 1,
        "ignore_eos": request.sampling.ignore_eos,
        "tools": bool(request.tools) and not is_forced(request),
        "prompt": request.raw_prompt is not None and bool(request.raw_prompt.tokens),
        "response_format of a prompt": request.raw_prompt is not None and request.json_schema is not None,
        "messages that end inside": request.continue_final,
        "logprobs with tools": request.sampling.logprobs is not None and bool(request.tools),
    }
    for name in facts.dialect.lacks:
        if asked[name]:
            text = f"The upstream server ({facts.dialect.name}) cannot honour {name}."
            raise UnsupportedValue(text, param=name.split()[0])
    if request.answer_form is not None and facts.dialect.form(request.answer_form) is None:
        text = f"The upstream server ({facts.dialect.name}) cannot honour {request.answer_form.param}."
        raise UnsupportedValue(text, param=request.answer_form.param)
    if request.raw_prompt is not None and request.raw_prompt.suffix:
        raise UnsupportedValue(f"The upstream server ({facts.dialect.name}) is asked for no suffix.", param="suffix")
    _refuse_by_model(request, facts)
    out_of_range = [token for token in request.sampling.logit_bias if token >= (facts.vocabulary or token + 1)]
    if out_of_range:
        raise UnsupportedValue(
            f"Token id {out_of_range[0]} is outside the vocabulary ({facts.vocabulary} entries).", param="logit_bias"
        )


def _refuse_by_model(request: GenerateRequest, facts: ServerFacts) -> None:
    if any(turn.parts for turn in request.messages) and facts.reads_images is False:
        raise UnsupportedValue("This model reads no images.", param="messages")
    if request.tools and not facts.takes_tools:
        raise UnsupportedValue("This model's chat template knows no tools.", param="tools")
    forced = [tool.input_format for tool in request.tools if request.tool_choice.name in (None, tool.name)]
    if is_forced(request) and any(form is not None and form.syntax != "regex" for form in forced):
        raise UnsupportedValue("An upstream server cannot hold a tool's input to a Lark grammar.", param="tools")


def is_resumable(request: GenerateRequest, dialect: Dialect) -> bool:
    """Whether its answer may go on at a fresh server behind its token ids, and be the same.

    Greedy, and of nothing but its tokens: not of a seed, whose state is gone, nor of penalties that count the answer
    alone, a grammar, tools, stop strings, several choices.
    """
    sampling = request.sampling
    is_greedy = sampling.temperature == 0 or sampling.top_p == 0
    counts_answer = sampling.frequency_penalty or sampling.presence_penalty
    is_formed = request.json_schema is not None or request.answer_form is not None or request.tools or request.stop
    shows_more = request.choices or request.has_images or sampling.logprobs is not None
    return bool(dialect.token_ids) and is_greedy and not (counts_answer or is_formed or shows_more)


def fit(request: GenerateRequest, facts: ServerFacts) -> tuple[GenerateRequest, tuple[str, ...]]:
    """The request without what this server or its model has no use for, and the names of that.

    Raises:
        UnsupportedValue: the first of them, where nothing may be set aside.
    """
    names: list[str] = []
    if (request.thinking is not None or request.reasoning_effort is not None) and not _has_switch(facts, *_SWITCHES):
        names.append("reasoning_effort")
        request = replace(request, thinking=None, reasoning_effort=None)
    unknown = [name for name in request.template_options if not _has_switch(facts, name)]
    known = {name: value for name, value in request.template_options.items() if name not in unknown}
    names += [f"chat_template_kwargs.{name}" for name in unknown]
    if facts.dialect.cuts_answers and (request.max_tokens or 0) > (facts.context_length or 1 << 62):
        names.append("max_tokens")
    if request.progress and not facts.dialect.tells_progress:
        names.append(PROGRESS)
    if chooses_formed_inputs(request):
        names.append(INPUT_FORM)
    if request.prediction:
        names.append("prediction")
    if names and request.strict:
        raise UnsupportedValue("This model has no use for this field (STRICT_FIELDS).", param=names[0])
    tools = tuple(map(_with_pattern, request.tools)) if is_forced(request) else request.tools
    return replace(request, template_options=known, tools=tools), tuple(names)


def _with_pattern(tool: Tool) -> Tool:
    """A tool whose input has a form that is a regular expression, as a schema: servers know those."""
    form = tool.input_format
    if form is None or form.syntax != "regex":
        return tool
    schema = {"type": "string", "pattern": f"^(?:{form.definition})$"}
    parameters = {"type": "object", "properties": {"input": schema}, "required": ["input"]}
    return replace(tool, parameters=json.dumps(parameters))


def _has_switch(facts: ServerFacts, *names: str) -> bool:
    """Whether the model's chat template speaks of one; a server that does not show it may."""
    if not facts.dialect.switches:
        return False
    return facts.template is None or any(name in facts.template for name in names)
