"""OpenAI's shapes, in and out. Requests are strict pydantic models; responses are msgspec structs, quick to encode.

`fields` says what each field of a request is; what it sets aside never comes here.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Annotated, Any, Literal

import msgspec
from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag
from pydantic.json_schema import SkipJsonSchema

from src.api.wire import Wire
from src.ipc.messages.base import Priority

MAX_CHOICES = 128
MAX_CALLS = 128
MAX_STOPS = 64


def by_type(kinds: dict[str, str], default: str | None = None) -> Discriminator:
    """Which member of a union a body is, by its type: an error names that one's field, not the first member's."""

    def member(value: Any) -> str | None:
        kind = value.get("type", default) if isinstance(value, dict) else getattr(value, "type", None)
        return kinds.get(kind) if isinstance(kind, str) else None

    return Discriminator(member)


def _whole(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


# JSON knows one kind of number: clients whose language does, too, write 5.0
Whole = Annotated[int, BeforeValidator(_whole)]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Labels(_Strict):
    """Fields that ask for nothing of an answer but `service_tier`, which asks for a priority."""

    user: str | None = None
    metadata: dict[str, Any] | None = None
    store: bool | None = None
    service_tier: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None
    prompt_cache_options: dict[str, Any] | None = None


class TextPart(_Strict):
    """A content part that is text."""

    type: Literal["text"]
    text: str


class RefusalPart(_Strict):
    """What an assistant's turn may hold instead of text."""

    type: Literal["refusal"]
    refusal: str


class ImageUrl(_Strict):
    """Where an image is. `detail` is taken and has no effect: a model's own processor decides on resolution."""

    url: str = Field(min_length=1)
    detail: Literal["auto", "low", "high", "original"] | None = None


class ImageUrlPart(_Strict):
    """A picture of a user's turn: a `data:` URL with base64, or a URL of a host in IMAGE_URL_HOSTS."""

    type: Literal["image_url"]
    image_url: ImageUrl


class FileIn(_Strict):
    """A PDF: its base64 text or a `data:` URL. `origin`: where a translation's client has the part."""

    file_data: str
    filename: str | None = None
    origin: SkipJsonSchema[str | None] = Field(None, max_length=256)


class FilePart(_Strict):
    """A PDF of a user's turn, or a tool's: the model is given its pages' text, at most CHAT_PDF_PAGES of them."""

    type: Literal["file"]
    file: FileIn


PART_TYPES = ("text", "image_url", "file", "refusal")
PartIn = Annotated[
    Annotated[TextPart, Tag("TextPart")]
    | Annotated[ImageUrlPart, Tag("ImageUrlPart")]
    | Annotated[FilePart, Tag("FilePart")]
    | Annotated[RefusalPart, Tag("RefusalPart")],
    by_type(dict(zip(PART_TYPES, ("TextPart", "ImageUrlPart", "FilePart", "RefusalPart"), strict=True))),
]


class FunctionCallIn(_Strict):
    name: str = Field(min_length=1, max_length=256)
    arguments: str


class ToolCallIn(_Strict):
    """A call of an earlier turn."""

    id: str = Field(min_length=1, max_length=256)
    type: Literal["function"] = "function"
    function: FunctionCallIn
    index: Whole | None = None


class CustomCallText(_Strict):
    name: str = Field(min_length=1, max_length=256)
    input: str


class CustomCallIn(_Strict):
    """A call of a custom tool in an earlier turn."""

    id: str = Field(min_length=1, max_length=256)
    type: Literal["custom"]
    custom: CustomCallText
    index: Whole | None = None


class Turn(_Strict):
    """One message of the conversation. What clients copy from our own answers is taken too."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[PartIn] | None = None
    name: str | None = None
    tool_calls: list[ToolCallIn | CustomCallIn] | None = Field(None, max_length=MAX_CALLS)
    tool_call_id: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    annotations: list[object] | None = None
    audio: None = None
    function_call: None = None


SwitchName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]


class FunctionDef(_Strict):
    """A function the model may call."""

    name: str = Field(pattern=r"^[a-zA-Z0-9_-]{1,128}$")
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class ToolIn(_Strict):
    type: Literal["function"]
    function: FunctionDef


class GrammarIn(_Strict):
    syntax: Literal["lark", "regex"]
    definition: str


class CustomFormatIn(_Strict):
    """What a custom tool's input looks like: any text, or what a grammar says."""

    type: Literal["text", "grammar"]
    grammar: GrammarIn | None = None


class CustomDef(_Strict):
    name: str = Field(pattern=r"^[a-zA-Z0-9_-]{1,128}$")
    description: str | None = None
    format: CustomFormatIn | None = None


class CustomToolIn(_Strict):
    """A tool that is called with one text."""

    type: Literal["custom"]
    custom: CustomDef


class ToolName(_Strict):
    name: str


class NamedToolChoice(_Strict):
    type: Literal["function"]
    function: ToolName


class NamedCustomChoice(_Strict):
    type: Literal["custom"]
    custom: ToolName


class AllowedToolsDef(_Strict):
    mode: Literal["auto", "required"]
    tools: list[NamedToolChoice | NamedCustomChoice] = Field(min_length=1)


class AllowedToolsChoice(_Strict):
    """A choice among some of the tools; the others are not offered."""

    type: Literal["allowed_tools"]
    allowed_tools: AllowedToolsDef


ToolWish = Literal["none", "auto", "required"] | NamedToolChoice | NamedCustomChoice | AllowedToolsChoice


class JsonSchemaIn(_Strict):
    """A schema the answer must follow."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, populate_by_name=True)

    name: str | None = Field(None, pattern=r"^[a-zA-Z0-9_-]{1,64}$")
    description: str | None = None
    schema_: dict[str, Any] | None = Field(None, alias="schema")
    strict: bool | None = None


class ResponseFormat(_Strict):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchemaIn | None = None


MAX_FORM = 1 << 20
FormText = Annotated[str, Field(max_length=MAX_FORM)]
FormChoices = Annotated[list[FormText], Field(max_length=1024)]
SchemaText = dict[str, Any] | FormText


class StructuredOutputs(_Strict):
    """vLLM's word for the form of an answer: one of these."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, populate_by_name=True)

    json_: SchemaText | None = Field(None, alias="json")
    regex: FormText | None = None
    choice: FormChoices | None = None
    grammar: FormText | None = None
    json_object: bool | None = None


class TemplateOptions(BaseModel):
    """Switches for a model's chat template, as vLLM's clients send them."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True)
    __pydantic_extra__: dict[SwitchName, bool | int | float | Annotated[str, Field(max_length=1024)] | None]

    enable_thinking: bool | None = None


class StreamOptions(_Strict):
    include_usage: bool = False
    include_obfuscation: bool = False
    continuous_usage_stats: bool = False
    include_progress: bool = False


class PredictionIn(_Strict):
    """Likely text of the answer (OpenAI's predicted outputs)."""

    type: Literal["content"]
    content: str | list[TextPart]

    @property
    def text(self) -> str:
        return self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)


ReasoningEffort = Literal["none", "minimal", "low", "medium", "high", "xhigh"]
TokenId = Annotated[str, Field(pattern=r"^[0-9]{1,9}$")]
Bias = Annotated[float, Field(ge=-100, le=100, allow_inf_nan=False)]


class ChatCompletionRequest(Labels):
    """Body of POST /v1/chat/completions. Bounds are OpenAI's."""

    model: str | None = Field(None, max_length=512)
    messages: list[Turn] = Field(min_length=1)
    max_tokens: Whole | None = Field(None, ge=1, le=10_000_000)
    max_completion_tokens: Whole | None = Field(None, ge=1, le=10_000_000)
    temperature: float | None = Field(None, ge=0, le=2, allow_inf_nan=False)
    top_p: float | None = Field(None, ge=0, le=1, allow_inf_nan=False)
    stop: (
        Annotated[str, Field(min_length=1, max_length=1024)]
        | Annotated[list[Annotated[str, Field(min_length=1, max_length=1024)]], Field(max_length=MAX_STOPS)]
        | None
    ) = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    priority: Priority | None = None
    n: Whole | None = Field(None, ge=1, le=MAX_CHOICES)
    seed: Whole | None = Field(None, ge=-(1 << 63), lt=1 << 64)
    logprobs: bool | None = None
    top_logprobs: Whole | None = Field(None, ge=0, le=20)
    logit_bias: dict[TokenId, Bias] | None = None
    frequency_penalty: float | None = Field(None, ge=-2, le=2, allow_inf_nan=False)
    presence_penalty: float | None = Field(None, ge=-2, le=2, allow_inf_nan=False)
    repetition_penalty: float | None = Field(None, gt=0, le=10, allow_inf_nan=False)
    top_k: Whole | None = Field(None, ge=-1, le=10_000_000)
    min_p: float | None = Field(None, ge=0, le=1, allow_inf_nan=False)
    ignore_eos: bool | None = None
    timeout: float | None = Field(None, gt=0, le=86400, allow_inf_nan=False)
    response_format: ResponseFormat | None = None
    guided_json: SchemaText | None = None
    guided_regex: FormText | None = None
    guided_choice: FormChoices | None = None
    guided_grammar: FormText | None = None
    structured_outputs: StructuredOutputs | None = None
    grammar: FormText | None = None
    json_schema: SchemaText | None = None
    tools: list[ToolIn | CustomToolIn] | None = None
    tool_choice: ToolWish | None = None
    parallel_tool_calls: bool | None = None
    reasoning_effort: ReasoningEffort | None = None
    chat_template_kwargs: TemplateOptions | None = None
    continue_final_message: bool | None = None
    add_generation_prompt: bool | None = None
    return_progress: bool | None = None
    prediction: PredictionIn | None = None

    @property
    def progress(self) -> bool:
        """Whether its stream shows how much of the prompt is computed."""
        options = self.stream_options
        return bool(self.stream and (self.return_progress or (options is not None and options.include_progress)))

    @property
    def custom_tools(self) -> frozenset[str]:
        """Whose calls are answered with one text."""
        return frozenset(tool.custom.name for tool in self.tools or () if isinstance(tool, CustomToolIn))

    @property
    def images(self) -> int:
        """How many it shows, in all its turns."""
        return sum(isinstance(part, ImageUrlPart) for part, _ in self._parts())

    @property
    def result_images(self) -> int:
        """How many of them tools gave."""
        return sum(in_result and isinstance(part, ImageUrlPart) for part, in_result in self._parts())

    @property
    def has_files(self) -> bool:
        return any(isinstance(part, FilePart) for part, _ in self._parts())

    def results(self) -> list[bool]:
        """For each turn, whether it has what a tool gave: in its own turn, or in the user's turn behind it."""
        roles = [None, *(turn.role for turn in self.messages)]
        return ["tool" in pair for pair in pairwise(roles)]

    def _parts(self) -> Iterator[tuple[PartIn, bool]]:
        for turn, in_result in zip(self.messages, self.results(), strict=True):
            if isinstance(turn.content, list):
                yield from ((part, in_result) for part in turn.content)


class ModelBody(BaseModel):
    """Body of POST /v1/models/load and /v1/models/unload."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    model_name: str = Field(min_length=1, max_length=512)


class ModelsBody(BaseModel):
    """Body of POST /api/gpu/offload and /api/gpu/release: one model, or all that are not pinned."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    model_name: str | None = Field(None, min_length=1, max_length=512)


class TimeoutBody(BaseModel):
    """Body of POST /api/gpu/timeout: seconds without requests until models leave the device; 0 is never."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    timeout: float = Field(ge=0, le=31_536_000, allow_inf_nan=False)


# ---- responses


class FunctionOut(Wire, frozen=True):
    name: str
    arguments: str


class CustomOut(Wire, frozen=True):
    name: str
    input: str


class ToolCallOut(Wire, frozen=True):
    """A function's call, or a custom tool's."""

    id: str
    function: FunctionOut | msgspec.UnsetType = msgspec.UNSET
    custom: CustomOut | msgspec.UnsetType = msgspec.UNSET
    type: str = "function"


class MessageOut(Wire, frozen=True):
    """`reasoning_content` and `reasoning` are the same: clients look for either."""

    role: str
    content: str | None
    refusal: None = None
    reasoning_content: str | msgspec.UnsetType = msgspec.UNSET
    reasoning: str | msgspec.UnsetType = msgspec.UNSET
    tool_calls: tuple[ToolCallOut, ...] | msgspec.UnsetType = msgspec.UNSET
    function_call: FunctionOut | msgspec.UnsetType = msgspec.UNSET


class TopLogprob(Wire, frozen=True):
    """`bytes` is what the token stands for: its text may be half a character."""

    token: str
    logprob: float
    bytes: tuple[int, ...]


class TokenLogprobOut(Wire, frozen=True):
    token: str
    logprob: float
    bytes: tuple[int, ...]
    top_logprobs: tuple[TopLogprob, ...]


class ChoiceLogprobs(Wire, frozen=True):
    content: tuple[TokenLogprobOut, ...]
    refusal: None = None


class ChoiceOut(Wire, frozen=True):
    index: int
    message: MessageOut
    finish_reason: str
    logprobs: ChoiceLogprobs | None = None


class PromptDetails(Wire, frozen=True):
    cached_tokens: int = 0


class CompletionDetails(Wire, frozen=True):
    """Of a request with a `prediction` that was used: what of it came into the answer, and what was drafted in vain."""

    accepted_prediction_tokens: int
    rejected_prediction_tokens: int


class UsageOut(Wire, frozen=True):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptDetails = PromptDetails()
    completion_tokens_details: CompletionDetails | msgspec.UnsetType = msgspec.UNSET


class ChatCompletion(Wire, frozen=True):
    id: str
    created: int
    model: str
    choices: tuple[ChoiceOut, ...]
    usage: UsageOut
    object: str = "chat.completion"
    system_fingerprint: str | None = None


class FunctionDelta(Wire, frozen=True, omit_defaults=True):
    name: str | None = None
    arguments: str | None = None


class CustomDelta(Wire, frozen=True, omit_defaults=True):
    name: str | None = None
    input: str | None = None


class ToolCallDelta(Wire, frozen=True, omit_defaults=True):
    index: int
    id: str | None = None
    type: str | None = None
    function: FunctionDelta | None = None
    custom: CustomDelta | None = None


class DeltaOut(Wire, frozen=True, omit_defaults=True):
    role: str | None = None
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: tuple[ToolCallDelta, ...] | None = None
    function_call: FunctionDelta | None = None


class ChunkChoice(Wire, frozen=True):
    index: int
    delta: DeltaOut
    finish_reason: str | None = None
    logprobs: ChoiceLogprobs | None = None


class PromptProgressOut(Wire, frozen=True):
    """As llama.cpp's server has it: tokens of the prompt, `cache` of those processed; milliseconds since it began."""

    total: int
    cache: int
    processed: int
    time_ms: int


class ChatCompletionChunk(Wire, frozen=True):
    id: str
    created: int
    model: str
    choices: tuple[ChunkChoice, ...]
    usage: UsageOut | None | msgspec.UnsetType = msgspec.UNSET
    object: str = "chat.completion.chunk"
    system_fingerprint: str | None = None
    prompt_progress: PromptProgressOut | msgspec.UnsetType = msgspec.UNSET


class EmbeddingCard(Wire, frozen=True):
    """How a model's vectors are made; asked for fewer `dimensions`, they are cut and brought to length 1 again.

    `source`: an embedding model, or a chat model, which stands in for one. `prompts`: names for `prompt_name`.
    """

    dimensions: int
    pooling: str = "mean of the last hidden state over a text's tokens, normalised"
    source: str = "chat model"
    prompts: tuple[str, ...] = ()


class LoadOut(Wire, frozen=True):
    """How far the loading of a model is."""

    done_bytes: int
    total_bytes: int
    seconds: float
    eta_seconds: float | None


class ModelCard(Wire, frozen=True):
    """An entry of /v1/models; the fields after `owned_by` are ours, null while nobody tells.

    `state`: unloaded, loading, gpu (on the device), offloading, cpu (its memory is free, its files are warm),
    restoring, unloading, failed (`detail` says why). `size_bytes`: its weights. `embeddings`: null without any.
    `family`, `reasoning`, `tools`: what it speaks (docs/families.md). `batches`: whether its requests are
    computed together.
    """

    id: str
    created: int
    object: str = "model"
    owned_by: str = "stoker"
    state: str = "unknown"
    detail: str | None = None
    size_bytes: int | None = None
    context_length: int | None = None
    capabilities: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    parameters: int | None = None
    engine: str | None = None
    family: str | None = None
    reasoning: str | None = None
    tools: str | None = None
    batches: bool | None = None
    embeddings: EmbeddingCard | None = None
    pinned: bool = False
    running: int = 0
    waiting: int = 0
    idle_seconds: float | None = None
    progress: LoadOut | None = None


class InstanceModelCard(ModelCard, frozen=True):
    """`instances`: those that serve it, this one first. Of a model that this one does not have, only what its
    instance announces is told."""

    instances: tuple[str, ...] = ()


class ModelList(Wire, frozen=True):
    data: tuple[ModelCard, ...]
    object: str = "list"
