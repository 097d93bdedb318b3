"""Every field of a request, by wire: honoured, translated, advisory (set aside and disclosed) or refused. Pure.

One table for all wires and engines: `disclosure` sorts bodies by it; docs/compatibility.md and tests come from it.
docs/adr/0020 says what may become advisory.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

from src.errors import InvalidRequest, UnsupportedValue

FieldClass = Literal["honoured", "translated", "advisory", "refused"]
WireName = Literal["chat", "completions", "responses", "messages", "embeddings", "rerank", "ollama"]
WIRES: tuple[WireName, ...] = get_args(WireName)
OTHER = "other"  # label of a field that is not in the table

# what generates; embeddings have few fields
_ANSWERS: tuple[WireName, ...] = ("chat", "completions", "responses", "messages")
_TURNS: tuple[WireName, ...] = ("chat", "responses", "messages")
_OPENAI: tuple[WireName, ...] = ("chat", "completions", "responses")
# where a mark for a prompt cache may stand, on any wire; never inside a tool's schema or a call's arguments
_BLOCKS = ("", "system[].", "messages[].", "messages[].content[].", "messages[].content[].content[].")
_MARKED = (*_BLOCKS, "tools[].", "tools[].function.", "input[].", "input[].content[].", "input[].output[].")

_CITED = ("messages[].content[].citations", "messages[].content[].content[].citations")


@dataclass(frozen=True)
class Field:
    """One row. `neutral` values ask for nothing; `taken` ones are honoured although the rest is not.

    `paths`: where it stands in a body, `NAME[]` for each entry of a list; its name alone unless given.
    """

    name: str
    kind: FieldClass
    wires: tuple[WireName, ...]
    neutral: tuple[object, ...] = ()
    taken: tuple[object, ...] = ()
    paths: tuple[str, ...] = ()
    why: str = ""

    def asks(self, value: object) -> bool:
        """Whether this value asks for what is set aside or refused."""
        return value is not None and value not in self.neutral

    @property
    def places(self) -> tuple[str, ...]:
        return self.paths or (self.name,)


def _marks(name: str) -> tuple[str, ...]:
    return tuple(f"{place}{name}" for place in _MARKED)


def _rows(kind: FieldClass, names: str, *wires: WireName, why: str = "") -> tuple[Field, ...]:
    return tuple(Field(name, kind, wires or _ANSWERS, why=why) for name in names.split())


_LABEL = "a label of the client's own: nothing is asked of the answer"
_SHARED = "prompts share what was computed anyway"

HONOURED: tuple[Field, ...] = (
    *_rows("honoured", "model timeout priority", *WIRES),
    *_rows("honoured", "stream temperature top_p top_k min_p seed logit_bias ignore_eos"),
    *_rows("honoured", "frequency_penalty presence_penalty repetition_penalty"),
    *_rows("honoured", "chat_template_kwargs", "chat", "responses", "messages"),
    *_rows("honoured", "user metadata safety_identifier", *WIRES, why=_LABEL),
    *_rows("honoured", "prompt_cache_key prompt_cache_retention prompt_cache_options", *WIRES, why=_SHARED),
    *_rows("honoured", "max_tokens", "chat", "completions", "messages"),
    *_rows("honoured", "max_completion_tokens", "chat", "completions"),
    *_rows("honoured", "stop stream_options", "chat", "completions", "responses"),
    *_rows("honoured", "n logprobs response_format", "chat", "completions"),
    *_rows("honoured", "tools tool_choice", "chat", "responses", "messages"),
    *_rows("honoured", "return_progress", "chat", "completions", why="llama.cpp's stream_options.include_progress"),
    *_rows("honoured", "parallel_tool_calls", *_OPENAI),
    *_rows("honoured", "messages", "chat", "messages"),
    *_rows("honoured", "top_logprobs reasoning_effort continue_final_message add_generation_prompt", "chat"),
    *_rows("honoured", "prediction", "chat", why="drafts of speculative decoding come from it"),
    *_rows("honoured", "prompt echo best_of suffix", "completions"),
    *_rows("honoured", "input", "responses", "embeddings"),
    *_rows("honoured", "encoding_format dimensions input_type prompt_name normalize truncate", "embeddings"),
    *_rows("honoured", "truncation truncate_prompt_tokens", "embeddings", "rerank"),
    *_rows("honoured", "query documents top_n top_k return_documents max_tokens_per_doc instruction", "rerank"),
    *_rows("honoured", "instructions max_output_tokens text reasoning", "responses"),
    *_rows("honoured", "previous_response_id conversation background include store", "responses"),
    *_rows("honoured", "system stop_sequences thinking output_config output_format", "messages"),
    *_rows("honoured", "name messages prompt input system images raw stream format options tools think", "ollama"),
    *_rows("honoured", "logprobs top_logprobs dimensions", "ollama"),
)

_FORMS = (
    *("guided_json", "guided_regex", "guided_choice", "guided_grammar", "structured_outputs"),
    *("grammar", "json_schema"),
)
TRANSLATED: tuple[Field, ...] = (
    Field("functions", "translated", ("chat",), why="tools, and their calls back"),
    Field("function_call", "translated", ("chat",), why="tool_choice"),
    Field("repeat_penalty", "translated", ("chat", "completions"), why="repetition_penalty, as llama.cpp names it"),
    Field("n_predict", "translated", ("chat", "completions"), why="max_tokens, as llama.cpp names it"),
    *(
        Field(name, "translated", ("chat",), why="chat_template_kwargs.enable_thinking, as other APIs name it")
        for name in ("enable_thinking", "thinking", "think")
    ),
    Field("reasoning", "translated", ("chat",), why="reasoning_effort, and whether to think, as OpenRouter names it"),
    *(Field(name, "translated", ("chat", "completions"), why="vLLM's form of an answer") for name in _FORMS[:5]),
    *(Field(name, "translated", ("chat", "completions"), why="llama.cpp's form of an answer") for name in _FORMS[5:]),
)

_OLLAMA_LOADING = (
    *("num_ctx", "num_keep", "num_batch", "num_gpu", "main_gpu", "num_thread", "numa", "low_vram", "f16_kv"),
    *("logits_all", "vocab_only", "use_mmap", "use_mlock", "embedding_only", "mirostat_eta", "mirostat_tau"),
)
ADVISORY: tuple[Field, ...] = (
    Field("keep_alive", "advisory", ("ollama",), taken=(0, "0", "0s", "0m", "0h")),
    Field("truncate", "advisory", ("ollama",), neutral=(False,), why="while the prompt fits; honoured by /api/embed"),
    Field("shift", "advisory", ("ollama",), neutral=(False,), why="while the prompt fits"),
    Field("insecure", "advisory", ("ollama",), neutral=(False,)),
    *(Field(f"options.{name}", "advisory", ("ollama",)) for name in _OLLAMA_LOADING),
    Field("verbosity", "advisory", ("chat", "completions"), neutral=("medium",)),
    Field("prediction", "advisory", ("completions", "responses"), neutral=({},), why="/v1/chat/completions uses it"),
    Field("text.verbosity", "advisory", ("responses",), neutral=("medium",)),
    Field("reasoning.summary", "advisory", ("responses",), neutral=("none",)),
    Field("reasoning.generate_summary", "advisory", ("responses",), neutral=("none",)),
    Field("truncation", "advisory", ("responses",), neutral=("disabled",), why="while the prompt fits"),
    Field("max_tool_calls", "advisory", ("responses",)),
    Field("context_management", "advisory", ("responses", "messages"), neutral=([], {})),
    Field("diagnostics", "advisory", ("messages",), neutral=({},)),
    Field("thinking.budget_tokens", "advisory", ("messages",)),
    Field("thinking.display", "advisory", ("messages",)),
    Field("speed", "advisory", ("messages",), neutral=("standard",)),
    Field("user_profile_id", "advisory", ("messages",)),
    Field("workspace_id", "advisory", ("messages",)),
    Field("client_metadata", "advisory", WIRES, neutral=({},)),
    Field("service_tier", "advisory", WIRES, ("auto", "default", "standard_only"), ("priority", "flex")),
    Field("store", "advisory", ("chat", "completions", "messages", "embeddings", "rerank"), neutral=(False,)),
    Field("cache_control", "advisory", _TURNS, paths=_marks("cache_control")),
    Field("prompt_cache_breakpoint", "advisory", _TURNS, paths=_marks("prompt_cache_breakpoint")),
    Field("citations", "advisory", ("messages",), neutral=([], {"enabled": False}), paths=_CITED),
    Field("reasoning_details", "advisory", ("chat",), neutral=([],), paths=("messages[].reasoning_details",)),
)

_FILES = ("messages[].content[].file.", "input[].content[].", "input[].output[].")
_FORM_WHY = "text.format has forms"
_PREFIX_WHY = "continue_final_message goes on inside the last turn"
_ELSEWHERE = {
    "min_tokens": "ignore_eos and max_tokens give a length",
    "stop_token_ids": "stop takes texts",
    "bad_words": "logit_bias bans tokens",
    "use_beam_search": "answers are sampled",
    "prompt_logprobs": "echo with logprobs on /v1/completions scores a prompt",
    "allowed_token_ids": "logit_bias bans tokens",
    "truncate_prompt_tokens": "no prompt is cut",
}
# other servers' sampling, by what asks for nothing
_SAMPLERS: dict[str, tuple[object, ...]] = {
    **dict.fromkeys(("typical_p", "typ_p", "tfs_z", "tfs", "length_penalty"), (1,)),
    **dict.fromkeys(("mirostat", "mirostat_mode", "xtc_probability", "dry_multiplier", "top_a"), (0,)),
    **dict.fromkeys(("dynatemp_range", "smoothing_factor", "no_repeat_ngram_size"), (0,)),
    **dict.fromkeys(("epsilon_cutoff", "eta_cutoff", "penalty_alpha"), (0,)),
    "top_n_sigma": (0, -1),
    "repeat_last_n": (-1, 64),
    "include_stop_str_in_output": (False,),
    "skip_special_tokens": (True,),
}
_HOSTED_WHY = "nothing here can do it"
# what other routes' bodies, or other servers', say of the question or of the answer's form: why, the wires that do not
# have it, and values that ask for nothing
_OTHER_ROUTES: dict[str, tuple[str, tuple[WireName, ...], tuple[object, ...]]] = {
    "system": ("send a turn of that role", ("chat", "completions", "responses"), ("", [])),
    "instructions": ("/v1/responses has it", ("chat", "completions", "messages"), ("",)),
    "prompt": ("send messages", ("chat", "messages"), ("", [])),
    "input": ("/v1/responses has it", ("chat", "completions", "messages"), ("", [])),
    "images": ("pictures are parts of a turn", _ANSWERS, ([],)),
    "documents": ("send their text", _ANSWERS, ([],)),
    "chat_template": ("a model has its own", _ANSWERS, ("",)),
    "raw": ("/v1/completions takes a prompt as it is", _TURNS, (False,)),
    "echo": ("/v1/completions has it", _TURNS, (False,)),
    "suffix": ("/v1/completions has it", _TURNS, ("",)),
    "stop_sequences": ("stop has them", _OPENAI, ([],)),
    "format": ("see the fields for an answer's form", _ANSWERS, ("", "text")),
    "text": ("/v1/responses has it", ("chat", "completions", "messages"), ({}, {"format": {"type": "text"}})),
    "output_format": ("/v1/messages has it", _OPENAI, ({},)),
    **dict.fromkeys(
        ("previous_response_id", "conversation", "background"),
        ("/v1/responses has it", ("chat", "completions", "messages"), ("", False)),
    ),
}
REFUSED: tuple[Field, ...] = (
    Field("suffix", "refused", ("ollama",), neutral=("",)),
    Field("template", "refused", ("ollama",), neutral=("",), why="a model has its own"),
    Field("context", "refused", ("ollama",), neutral=([],), why="send the conversation to /api/chat"),
    Field("options.mirostat", "refused", ("ollama",), neutral=(0,)),
    Field("options.typical_p", "refused", ("ollama",), neutral=(1,)),
    Field("options.tfs_z", "refused", ("ollama",), neutral=(1,)),
    Field("options.repeat_last_n", "refused", ("ollama",), neutral=(-1, 64), why="the whole text counts"),
    Field("options.penalize_newline", "refused", ("ollama",), neutral=(True,)),
    Field("modalities", "refused", _OPENAI, neutral=(["text"],)),
    *_rows("refused", "audio web_search_options moderation", *_OPENAI),
    Field("top_logprobs", "refused", ("responses",), neutral=(0,), why="/v1/chat/completions has it"),
    # other servers' words for what would change an answer
    *(Field(name, "refused", ("responses",), neutral=("", [], {}), why=_FORM_WHY) for name in _FORMS),
    *(
        Field(name, "refused", ("messages",), neutral=("", [], {}), why="output_config.format has forms")
        for name in _FORMS
    ),
    *(Field(name, "refused", _ANSWERS, neutral=(0, [], {}, False), why=why) for name, why in _ELSEWHERE.items()),
    *(Field(name, "refused", _ANSWERS, neutral=neutral) for name, neutral in _SAMPLERS.items()),
    Field("best_of", "refused", ("chat",), neutral=(1,), why="/v1/completions has it"),
    *(
        Field(name, "refused", ("chat",), neutral=(False,), paths=(f"messages[].{name}",), why=_PREFIX_WHY)
        for name in ("prefix", "partial")
    ),
    *(
        Field(name, "refused", ("chat", "responses"), paths=tuple(f"{place}{name}" for place in _FILES), why=why)
        for name, why in (("file_id", "no files are kept: send file_data"), ("file_url", "send file_data"))
    ),
    *(Field(name, "refused", wires, neutral, why=why) for name, (why, wires, neutral) in _OTHER_ROUTES.items()),
    Field("prompt", "refused", ("responses",), neutral=({},)),
    Field("access_programs", "refused", ("responses",), neutral=([], {})),
    Field("image", "refused", ("responses",), neutral=({},)),
    Field("container", "refused", ("messages",), neutral=({},), why=_HOSTED_WHY),
    Field("mcp_servers", "refused", ("messages",), neutral=([],), why=_HOSTED_WHY),
    Field("inference_geo", "refused", ("messages",), why="a promise about a place"),
    Field("thread", "refused", ("messages",), why="threads are not kept"),
)

FIELDS: tuple[Field, ...] = (*HONOURED, *TRANSLATED, *ADVISORY, *REFUSED)

# what only chat has: on another wire it would get through to it unseen
FOREIGN: dict[WireName, tuple[str, ...]] = {
    "chat": (),
    "completions": (
        *("messages", "tools", "tool_choice", "top_logprobs", "reasoning_effort", "functions", "function_call"),
        *("continue_final_message", "add_generation_prompt", "chat_template_kwargs"),
    ),
    "responses": (
        *("messages", "n", "logprobs", "response_format", "max_tokens", "max_completion_tokens", "reasoning_effort"),
        *("functions", "function_call", "continue_final_message", "add_generation_prompt"),
    ),
    "embeddings": (),
    "rerank": (),
    "ollama": (),
    "messages": (
        *("n", "logprobs", "top_logprobs", "response_format", "stream_options", "max_completion_tokens", "stop"),
        *("reasoning_effort", "functions", "function_call", "continue_final_message", "add_generation_prompt"),
    ),
}

# tools that another provider runs itself, by how their type begins: beside the client's own they are set aside
HOSTED_TOOLS = (
    *("web_search", "web_fetch", "tool_search", "code_execution", "code_interpreter", "file_search"),
    *("image_generation", "advisor"),
)

# parts of a tool's result that are not read: a line stands in their place, so that the session can go on
IMAGE_STAND_IN, DOCUMENT_STAND_IN = "messages.image", "messages.document"
STAND_INS = (IMAGE_STAND_IN, DOCUMENT_STAND_IN)

# the form of a custom tool's input: by engines, where a call that the model chooses to make cannot be held to it
INPUT_FORMS = ("tools.format",)

ALWAYS = "always"
# what an engine refuses by name, and when, beyond what nobody takes: each is a column of docs/compatibility.md
_MLX_FORMS = dict.fromkeys(_FORMS, "for what llguidance cannot compile")
REFUSES: dict[str, dict[str, str]] = {
    "mlx": {
        **_MLX_FORMS,
        "suffix": "when the model has no tokens for it",
        "messages": "when they hold images",
        "tools": "when the model's template knows none (a tool that must be called needs no template)",
        "response_format": "for keywords that llguidance does not know",
        "reasoning_effort": "before a form when the model's thinking has no mark",
        "/v1/embeddings": "for a model whose last hidden state mlx-lm keeps to itself",
    },
    "mlx vision": {
        **_MLX_FORMS,
        "messages": "when an image is no `data:` URL, nor of `IMAGE_URL_HOSTS`",
        "tools": "when the model's template knows none (a tool that must be called needs no template)",
        "response_format": "for keywords that llguidance does not know",
        "reasoning_effort": "before a form when the model's thinking has no mark",
        "echo": "with `logprobs`",
        "suffix": "when the model has no tokens for it",
        "/v1/embeddings": ALWAYS,
    },
    "vllm": {
        "messages": "when they hold images and the model sees none",
        "echo": "with `logprobs`",
        "suffix": ALWAYS,
        "tools": "unless its command names a `--tool-call-parser`, or a tool must be called",
        "/v1/embeddings": ALWAYS,
    },
    "llama.cpp": {
        **dict.fromkeys(("guided_regex", "guided_choice", "guided_grammar", "grammar"), ALWAYS),
        "structured_outputs": "but for a JSON schema",
        "messages": "when they hold images and the server has no projector (`--mmproj`); by llama_cpp.server",
        "n": "beyond the server's slots; any but 1 by llama_cpp.server",
        "logprobs": "with tools",
        "top_logprobs": "with tools",
        "logit_bias": "for ids beyond the vocabulary",
        "ignore_eos": "by llama_cpp.server",
        "echo": "with `logprobs`",
        "suffix": ALWAYS,
        "tools": "when the model's template knows none; by llama_cpp.server, unless one must be called",
        "/v1/embeddings": ALWAYS,
    },
    "fake": {
        **dict.fromkeys((*_FORMS, "suffix"), ALWAYS),
        "messages": "when they hold images",
        "/v1/embeddings": ALWAYS,
        "response_format": "but for `text`",
        "tool_choice": "`required` or a name, unless the message is the call",
    },
}
# what an engine sets aside and discloses
_CUT = {"max_tokens": "cut to what the context has left", "max_completion_tokens": "cut to what the context has left"}
_NO_SWITCH = "when the model's template has no switch"
_SWITCHES = {"reasoning_effort": _NO_SWITCH, "chat_template_kwargs": "switches that the model's template does not know"}
_NO_DRAFTS = {"prediction": "as no drafts come from it"}
_NO_PROGRESS = "`include_progress`: it does not tell how much of a prompt is computed"
SETS_ASIDE: dict[str, dict[str, str]] = {
    "mlx": {
        **_CUT,
        **_SWITCHES,
        "prediction": "without `SPECULATIVE_METHOD=ngram`; with penalties, log-probabilities or a form",
    },
    "mlx vision": {**_CUT, **_SWITCHES, **_NO_DRAFTS},
    "vllm": {**_CUT, **_NO_DRAFTS, "reasoning_effort": _NO_SWITCH, "stream_options": _NO_PROGRESS},
    "llama.cpp": {
        **_CUT,
        **_NO_DRAFTS,
        "reasoning_effort": f"{_NO_SWITCH}; by llama_cpp.server",
        "stream_options": "`include_progress`, by llama_cpp.server",
    },
    "fake": {**_CUT, **_NO_DRAFTS},
}


def of_wire(wire: WireName) -> tuple[Field, ...]:
    return tuple(field for field in FIELDS if wire in field.wires)


_SORTED = {wire: tuple(field for field in of_wire(wire) if field.kind in ("advisory", "refused")) for wire in WIRES}
_KNOWN = {
    wire: {*FOREIGN[wire], *(place.partition(".")[0].removesuffix("[]") for f in of_wire(wire) for place in f.places)}
    for wire in WIRES
}
_NAMES = {field.name for field in FIELDS}


def sort(wire: WireName, body: dict[str, Any]) -> list[str]:
    """Take out of `body` what is set aside on this wire, and name it: advisory fields and unknown ones.

    Raises:
        UnsupportedValue: a field that is refused.
        InvalidRequest: a field of chat's that this wire does not have.
    """
    for name in FOREIGN[wire]:
        if body.pop(name, None) is not None:
            raise InvalidRequest(f"{name!r} belongs to /v1/chat/completions.", param=name)
    aside = [field.name for field in _SORTED[wire] if _take_out(field, body)]
    unknown = sorted(name for name in body if name not in _KNOWN[wire])
    for name in unknown:
        del body[name]
    return [*aside, *unknown]


def _take_out(field: Field, body: dict[str, Any]) -> bool:
    """Whether the field was there and asked for something; it is there no more, unless its value is honoured."""
    asked = False
    for holder, key in (found for place in field.places for found in _holders(body, place.split("."))):
        if field.taken and holder[key] in field.taken:
            continue
        asks = field.asks(holder.pop(key))
        if asks and field.kind == "refused":
            why = f": {field.why}" if field.why else ""
            raise UnsupportedValue(f"{field.name!r} is not supported here{why}.", param=field.name)
        asked = asked or asks
    return asked


def _holders(body: Any, path: list[str]) -> Iterator[tuple[dict[str, Any], str]]:
    """The objects that have the field at the end of a path."""
    head, *rest = path
    if not isinstance(body, dict):
        return
    if not rest:
        if head in body:
            yield body, head
        return
    inner = body.get(head.removesuffix("[]"))
    for one in inner if head.endswith("[]") and isinstance(inner, list) else (inner,):
        yield from _holders(one, rest)


def label(name: str) -> str:
    """A field's name as a metric's label: the table's own word, or `other`; never a client's text."""
    head = re.split(r"[.\[]", name, maxsplit=1)[0]
    return next((known for known in (name, head) if known in _NAMES), OTHER)


def is_hosted(kind: object) -> bool:
    """Whether a tool of this type would be run by the provider."""
    return isinstance(kind, str) and kind.startswith(HOSTED_TOOLS)


def split_tools(tools: list[Any]) -> tuple[list[Any], list[str]]:
    """The client's own tools, and the names of hosted ones, which are set aside beside them.

    Raises:
        UnsupportedValue: there are only hosted ones: an answer without them would be another.
    """
    hosted = [tool["type"] for tool in tools if isinstance(tool, dict) and is_hosted(tool.get("type"))]
    own = [tool for tool in tools if not (isinstance(tool, dict) and is_hosted(tool.get("type")))]
    if hosted and not own:
        raise UnsupportedValue(f"This server runs no {hosted[0]!r} tool, and no other tool is offered.", param="tools")
    return own, [f"tools.{kind}" for kind in hosted]
