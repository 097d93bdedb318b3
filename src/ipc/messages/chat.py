"""Between web and an engine: requests for text, tokens and vectors, and the events that answer them."""

from __future__ import annotations

from typing import Literal

import msgspec

from src.encoders import ModelKind
from src.ipc.messages.base import Fallback, Message, Priority


class ToolCall(msgspec.Struct, frozen=True):
    """A call the model made; `arguments` is JSON text, as it came."""

    id: str
    name: str
    arguments: str


class ImagePart(msgspec.Struct, frozen=True):
    """A picture of a turn, as it came: an image file, its base64 text, or a data URL. It is decoded in the engine."""

    data: bytes


class ChatMessage(msgspec.Struct, frozen=True, omit_defaults=True):
    """One turn of a conversation. A tool's answer names its call.

    `content` is all its text; with pictures, `parts` are texts and pictures in their order.
    """

    role: str
    content: str
    name: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    reasoning: str | None = None
    parts: tuple[str | ImagePart, ...] = ()


class InputFormat(msgspec.Struct, frozen=True):
    """What a tool's one string must look like."""

    syntax: Literal["lark", "regex"]
    definition: str


class AnswerForm(msgspec.Struct, frozen=True):
    """What an answer that is no JSON must look like; a grammar may be GBNF, too. `param`: the field that asks."""

    syntax: Literal["lark", "regex"]
    definition: str
    param: str


class Tool(msgspec.Struct, frozen=True, omit_defaults=True):
    """A function the model may call; `parameters` is the text of a JSON schema.

    With an `input_format` its one parameter is the string `input`. `strict`: its arguments keep to the schema.
    """

    name: str
    description: str | None = None
    parameters: str = '{"type":"object","properties":{}}'
    input_format: InputFormat | None = None
    strict: bool = False


class ToolChoice(msgspec.Struct, frozen=True, omit_defaults=True):
    """Whether tools may or must be called; `name` is the one of mode `named`."""

    mode: Literal["none", "auto", "required", "named"] = "auto"
    name: str | None = None
    parallel: bool = True


class Sampling(msgspec.Struct, frozen=True, omit_defaults=True):
    """How the next token is chosen; None leaves it to the model's generation_config.

    The same seed gives the same text whatever else is computed; who asks chooses it, so that a fresh engine can go on.
    `seeded`: it is the client's wish, not chance.
    `logprobs` asks for the log-probability of every token, and of that many of the likeliest.
    """

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    repetition_penalty: float | None = None
    logit_bias: dict[int, float] = {}
    seed: int = 0
    seeded: bool = False
    ignore_eos: bool = False
    logprobs: int | None = None


class RawPrompt(msgspec.Struct, frozen=True, omit_defaults=True):
    """A prompt without a conversation: text, or token ids. With a `suffix` the answer stands between the two texts."""

    text: str | None = None
    tokens: tuple[int, ...] = ()
    suffix: str = ""


class Choice(msgspec.Struct, frozen=True, omit_defaults=True):
    """One of the answers a request asks for (`n`), and its token ids that were already sent."""

    index: int
    prefix: tuple[int, ...] = ()


class GenerateRequest(Message, frozen=True):
    """One answer to produce.

    `timeout_s` shortens the engine's own time budget. After a crash `prefix` holds the token ids that were already
    sent and `spent_s` the seconds that were spent on them: the answer goes on after both. `choices` asks for several
    answers; each has a prefix of its own, and one that has ended is left out. `json_schema` is the text of a schema
    the answer must follow, `answer_form` another form. With a `raw_prompt` there are no messages: the model goes on
    with that text. What was computed for one `salt` is used for no other: it stands for the API key. `strict`: a field
    that would be set aside fails the request (STRICT_FIELDS). `template_options`: switches for the model's chat
    template, if it knows them.
    `continue_final`: the answer goes on inside the last turn, the assistant's. `progress`: its stream shows how much of
    the prompt is computed. `traceparent`: the trace that an upstream server is to go on with. `prediction`: likely text
    of the answer, from which drafts of speculative decoding come; the answer is the same without.
    """

    id: str
    model: str
    messages: tuple[ChatMessage, ...]
    sampling: Sampling = Sampling()
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    stream: bool = False
    has_images: bool = False
    priority: Priority = "normal"
    timeout_s: float | None = None
    prefix: tuple[int, ...] = ()
    spent_s: float = 0.0
    choices: tuple[Choice, ...] = ()
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = ToolChoice()
    json_schema: str | None = None
    answer_form: AnswerForm | None = None
    thinking: bool | None = None
    reasoning_effort: str | None = None
    template_options: dict[str, bool | int | float | str] = msgspec.field(default_factory=dict)
    raw_prompt: RawPrompt | None = None
    continue_final: bool = False
    salt: str = ""
    strict: bool = False
    progress: bool = False
    traceparent: str = ""
    prediction: str = ""


class TextReading(msgspec.Struct, frozen=True, omit_defaults=True):
    """How the texts of an `EmbedRequest` are read. `query`: each text is a document that a reranker reads with it;
    `instruction`: what makes a document fit, for rerankers that are told it.

    `prompt`: the name of what is put before each text; `roles`: of a text each, or of all, where the model has a
    prompt for it. `truncate`: tokens that are kept of a text (0: the model's context), from its `keep`; None refuses
    longer ones. `normalize`: whether vectors have length 1; None leaves it to the model.
    """

    query: str | None = None
    instruction: str | None = None
    prompt: str | None = None
    roles: tuple[str, ...] = ()
    truncate: int | None = None
    keep: Literal["start", "end"] = "start"
    normalize: bool | None = None


class EmbedRequest(Message, frozen=True):
    """Asks for a vector of each text. `retried`: it was in an engine that died, and is put whole to the next one.
    `salt`: as a `GenerateRequest`'s.

    `dimensions` cuts the vectors to their first so many numbers, before they are brought to length 1.
    """

    id: str
    model: str
    inputs: tuple[RawPrompt, ...]
    dimensions: int | None = None
    priority: Priority = "normal"
    timeout_s: float | None = None
    retried: bool = False
    salt: str = ""
    reading: TextReading = TextReading()


class ScoreRequest(EmbedRequest, frozen=True):
    """Asks for the log-probabilities of each text's own tokens, instead of its vector.

    `top`: and of so many of the likeliest in each one's place.
    """

    top: int = 0


class TokenizeRequest(Message, frozen=True):
    """Asks for the tokens of what this request would be answered with; nothing is generated."""

    request: GenerateRequest


class DetokenizeRequest(Message, frozen=True):
    """Asks for the text of tokens. `salt`: as a `GenerateRequest`'s."""

    model: str
    tokens: tuple[int, ...]
    salt: str = ""


class Admitted(Message, frozen=True):
    """The prompt is tokenised, fits, and waits its turn. `max_tokens` is what the answer may take.

    `fallback`: where it is computed, when that is not where it should be (GPU_FALLBACK). `revision`: of the model's
    files, as the engine loaded them (`ModelInfo`). `set_aside`: fields of the request, by chat's names, that this model
    has no use for. `kind`: what the model was made for.
    """

    prompt_tokens: int
    max_tokens: int
    fallback: Fallback | None = None
    revision: str = ""
    set_aside: tuple[str, ...] = ()
    kind: ModelKind = "chat"


class Alternative(msgspec.Struct, frozen=True):
    """A token that could have come: the bytes it stands for and its log-probability."""

    token: int
    text: bytes
    logprob: float


class TokenLogprob(msgspec.Struct, frozen=True):
    """The log-probability of a token that came, and of the likeliest at its place, best first."""

    chosen: Alternative
    top: tuple[Alternative, ...] = ()


class Tokenized(Message, frozen=True):
    """The answer to a `TokenizeRequest`."""

    tokens: tuple[int, ...]
    context_length: int


class Detokenized(Message, frozen=True):
    """The answer to a `DetokenizeRequest`."""

    text: str


class TextResult(Message, frozen=True):
    """What was computed for one text of an `EmbedRequest`. Only its kinds are sent."""

    index: int


class Embedded(TextResult, frozen=True):
    """Its vector: little-endian float32, of length 1."""

    vector: bytes


class Scored(TextResult, frozen=True):
    """Its tokens and their log-probabilities; the first has none before it, and is given 0 with no alternatives.

    `following`: the likeliest token after the last one, where greedy decoding would take it; `ends`: it is an end mark.
    """

    tokens: tuple[TokenLogprob, ...]
    following: TokenLogprob | None = None
    ends: bool = False


class CallDelta(msgspec.Struct, frozen=True, omit_defaults=True):
    """A piece of a tool call: first its id and name, then its arguments, as JSON text that grows."""

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""


class Delta(Message, frozen=True):
    """New tokens and the text they complete (may be empty while a character or stop string is held back).

    `reasoning` is what the model thinks before it answers; `calls` are pieces of the tools it calls.
    `unreported_tokens`: tokens that came without ids from an upstream server; such an answer cannot be resumed.
    """

    tokens: tuple[int, ...]
    text: str
    index: int = 0
    logprobs: tuple[TokenLogprob, ...] = ()
    reasoning: str = ""
    calls: tuple[CallDelta, ...] = ()
    unreported_tokens: int = 0

    @property
    def count(self) -> int:
        """How many tokens these are."""
        return len(self.tokens) + self.unreported_tokens


class PromptProgress(Message, frozen=True):
    """How much of the prompt is computed: `processed` tokens of `total`, `cached` ones among them.

    Sent to streams while the prompt takes several steps, and at its end to a request that asks for `progress`. Seconds
    count from the first step. Not part of the answer: it is neither kept nor resumed.
    """

    total: int
    processed: int
    cached: int = 0
    elapsed_s: float = 0.0


class PredictionUsage(msgspec.Struct, frozen=True):
    """Draft tokens from a request's `prediction`: those that the answer kept, and those that it did not."""

    accepted: int = 0
    rejected: int = 0

    def __add__(self, other: PredictionUsage) -> PredictionUsage:
        return PredictionUsage(self.accepted + other.accepted, self.rejected + other.rejected)


class Usage(msgspec.Struct, frozen=True):
    """Token counts of one answer; an end-of-sequence token counts. `prediction`: None where none was used."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    prediction: PredictionUsage | None = None


class Timings(msgspec.Struct, frozen=True):
    """Seconds an answer spent waiting, in prefill and in decode, on the engine's clock."""

    queue_s: float
    prefill_s: float
    decode_s: float


FinishReason = Literal["stop", "length", "tool_calls"]


class ChoiceEnded(Message, frozen=True):
    """The end of one of several choices; the last to end is told by `Finished`."""

    index: int
    reason: FinishReason


class HandedOver(Message, frozen=True):
    """The request goes on later, where it stopped: in the next engine, as this one ends as planned, or in this one, as
    a background request that was preempted. No outcome, and nobody's fault."""


class Finished(Message, frozen=True):
    """The one good end of a `GenerateRequest`, with the counts of all its choices (`index` ended last), and of an
    `EmbedRequest`.

    `stop` is the stop string that ended it, if one did.
    """

    reason: FinishReason
    usage: Usage
    timings: Timings
    index: int = 0
    stop: str | None = None
