"""Everything our processes can say to each other.

One AF_UNIX connection carries one request: its frame goes in, events come back until exactly one outcome (`Finished`,
`OcrResult` or `Failed`). Closing the connection cancels the request. Durations, never time stamps, cross the wire:
clocks of two processes cannot be compared.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from src.errors import ServiceError, from_code


class Message(msgspec.Struct, frozen=True, tag=True, omit_defaults=True):
    """Base of all messages; the class name is the tag on the wire."""


# ---- to an engine


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


class Tool(msgspec.Struct, frozen=True, omit_defaults=True):
    """A function the model may call; `parameters` is the text of a JSON schema."""

    name: str
    description: str | None = None
    parameters: str = '{"type":"object","properties":{}}'


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
    """A prompt without a conversation: text, or token ids."""

    text: str | None = None
    tokens: tuple[int, ...] = ()


class Choice(msgspec.Struct, frozen=True, omit_defaults=True):
    """One of the answers a request asks for (`n`), and its token ids that were already sent."""

    index: int
    prefix: tuple[int, ...] = ()


Priority = Literal["high", "normal", "low", "background"]


class GenerateRequest(Message, frozen=True):
    """One answer to produce.

    `timeout_s` shortens the engine's own time budget. After a crash `prefix` holds the token ids that were already
    sent and `spent_s` the seconds that were spent on them: the answer goes on after both. `choices` asks for several
    answers; each has a prefix of its own, and one that has ended is left out. `json_schema` is the text of a schema
    the answer must follow. With a `raw_prompt` there are no messages: the model goes on with that text. What was
    computed for one `salt` is used for no other: it stands for the API key. `strict`: a field that would be set aside
    fails the request (STRICT_FIELDS). `template_options`: switches for the model's chat template, if it knows them.
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
    thinking: bool | None = None
    reasoning_effort: str | None = None
    template_options: dict[str, bool | int | float | str] = {}
    raw_prompt: RawPrompt | None = None
    salt: str = ""
    strict: bool = False


class EmbedRequest(Message, frozen=True):
    """Asks for a vector of each text. `again`: it was in an engine that died, and is put whole to the next one.
    `salt`: as a `GenerateRequest`'s.

    `dimensions` cuts the vectors to their first so many numbers, before they are brought to length 1.
    """

    id: str
    model: str
    inputs: tuple[RawPrompt, ...]
    dimensions: int | None = None
    priority: Priority = "normal"
    timeout_s: float | None = None
    again: bool = False
    salt: str = ""


class TokenizeRequest(Message, frozen=True):
    """Asks for the tokens of what this request would be answered with; nothing is generated."""

    request: GenerateRequest


class DetokenizeRequest(Message, frozen=True):
    """Asks for the text of tokens. `salt`: as a `GenerateRequest`'s."""

    model: str
    tokens: tuple[int, ...]
    salt: str = ""


# ---- to the OCR broker


Presence = Literal["never", "beyond_limit", "always"]


class OcrOptions(msgspec.Struct, frozen=True, omit_defaults=True):
    """How pages are read. `dpi`: of PDF pages, 0 is the setting's. `picture`: give each page's JPEG back, too."""

    dpi: int = 0
    language: str | None = None
    force_ocr: bool = False
    picture: bool = False


class OcrRequest(Message, frozen=True):
    """One page to read: the bytes of an image file, or their base64 text, decoded in the worker.

    With `path` it is page `page` (from 0) of the document in that file. `fallback`: by the embedded recognizer.
    `ahead`: pages of the document that will come next to the same worker.
    """

    id: str
    image: bytes
    base64: bool = False
    path: str = ""
    page: int = 0
    options: OcrOptions = OcrOptions()
    priority: Priority = "normal"
    fallback: bool = False
    ahead: tuple[int, ...] = ()


class OcrInspect(Message, frozen=True):
    """Asks a worker how many pages the document in a file has."""

    id: str
    path: str
    base64: bool = False
    options: OcrOptions = OcrOptions()


class OcrDocument(Message, frozen=True):
    """A whole document, from web to the broker. `pages`: first and last of each range, from 0; empty is all of them.

    `as_job`: whether it is answered page by page on this connection, or becomes a job; `max_pages`: the limit for that.
    `owner`: the name of the key that asks; a job belongs to it.
    """

    id: str
    data: bytes
    base64: bool = False
    pages: tuple[tuple[int, int], ...] = ()
    options: OcrOptions = OcrOptions()
    priority: Priority = "normal"
    as_job: Presence = "never"
    max_pages: int = 1
    timeout_s: float = 300.0
    format: str = "json"
    owner: str = ""


class OcrJobRequest(Message, frozen=True):
    """Asks for a job: its state and pages, the same as they come, or its end.

    `after`: pages the client has seen. `pictures`: pages come with their JPEGs, if the job made any. `owner`: whose job
    it has to be; None is anybody's.
    """

    id: str
    job: str
    action: Literal["get", "watch", "cancel"]
    after: int = 0
    pictures: bool = False
    owner: str | None = ""


# ---- to any back end, and to the supervisor's control socket


class Ping(Message, frozen=True):
    """Asks for `Health`; may be repeated on one connection."""


class StatusRequest(Message, frozen=True):
    """Asks the supervisor for `SystemStatus`."""


class RestartRequest(Message, frozen=True):
    """Asks the supervisor to replace a child now, or to start one that waits; answered with `Accepted`."""

    child: str


class UseModel(Message, frozen=True):
    """Asks the supervisor for a place at a model; answered with `Accepted` once it is on the device, or `Failed`.

    The place is kept until the connection closes. A `background` use waits for a time without other load; without a
    model it is only that: OCR's use of such a time. `retry`: although loading it failed a moment ago.
    """

    model: str | None
    background: bool = False
    retry: bool = False


class MoveModel(Message, frozen=True):
    """Asks the supervisor to move a model, or all, once their requests have ended; answered with `Accepted`."""

    to: Literal["cpu", "unloaded"]
    model: str | None = None


class SetIdleTimeout(Message, frozen=True):
    """Asks the supervisor for another GPU_IDLE_TIMEOUT, seconds, until it ends; answered with `Accepted`."""

    seconds: float


class PauseBackground(Message, frozen=True):
    """Asks the supervisor to let no more background requests begin, or to let them; answered with `Accepted`."""

    paused: bool


class MoveWeights(Message, frozen=True):
    """Asks an idle engine to free the device, or to come back to it; answered with its `Health` when that is done."""

    to: Literal["cpu", "gpu"]


class TrimRequest(Message, frozen=True):
    """Asks an engine to clear its caches; answered with `Accepted`."""


class StopRequest(Message, frozen=True):
    """Asks the supervisor to drain and end; answered with `Accepted`."""


class Accepted(Message, frozen=True):
    """Received, and begun: by the supervisor (a stop), an OCR worker (a page), a loaded engine (a request)."""


# ---- events of an engine


Fallback = Literal["cpu"]


class Admitted(Message, frozen=True):
    """The prompt is tokenised, fits, and waits its turn. `max_tokens` is what the answer may take.

    `fallback`: where it is computed, when that is not where it should be (GPU_FALLBACK). `revision`: of the model's
    files, as the engine loaded them (`ModelInfo`). `set_aside`: fields of the request, by chat's names, that this model
    has no use for.
    """

    prompt_tokens: int
    max_tokens: int
    fallback: Fallback | None = None
    revision: str = ""
    set_aside: tuple[str, ...] = ()


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


class Embedded(Message, frozen=True):
    """The vector of one text of an `EmbedRequest`: little-endian float32, of length 1."""

    index: int
    vector: bytes


class CallDelta(msgspec.Struct, frozen=True, omit_defaults=True):
    """A piece of a tool call: first its id and name, then its arguments, as JSON text that grows."""

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""


class Delta(Message, frozen=True):
    """New tokens and the text they complete (may be empty while a character or stop string is held back).

    `reasoning` is what the model thinks before it answers; `calls` are pieces of the tools it calls. `untold`: so many
    tokens came whose ids an upstream server did not tell; such an answer cannot be gone on with elsewhere.
    """

    tokens: tuple[int, ...]
    text: str
    index: int = 0
    logprobs: tuple[TokenLogprob, ...] = ()
    reasoning: str = ""
    calls: tuple[CallDelta, ...] = ()
    untold: int = 0

    @property
    def count(self) -> int:
        """How many tokens these are."""
        return len(self.tokens) + self.untold


class Usage(msgspec.Struct, frozen=True):
    """Token counts of one answer; an end-of-sequence token counts."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0


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
    """This engine ends as planned: the request goes on in the next one. No outcome, and nobody's fault."""


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


class Failed(Message, frozen=True):
    """The one bad end of any request: a `ServiceError` on its way to another process."""

    code: str
    message: str
    param: str | None = None
    retry_after_s: float | None = None

    @classmethod
    def of(cls, error: ServiceError) -> Failed:
        return cls(error.code, error.message, error.param, error.retry_after_s)

    def error(self) -> ServiceError:
        """What it was made `of`, on this side of the wire."""
        return from_code(self.code, self.message, param=self.param, retry_after_s=self.retry_after_s)


# ---- the event of the OCR broker


class OcrLine(msgspec.Struct, frozen=True):
    """One line of text. `polygon`: four (x, y) corners, pixels of the given image, clockwise from the line's start."""

    text: str
    confidence: float | None
    polygon: tuple[tuple[float, float], ...]


class OcrTimings(msgspec.Struct, frozen=True):
    """Seconds a page waited for a worker, and was decoded and read in it."""

    queue_s: float
    decode_s: float
    recognize_s: float


class OcrResult(Message, frozen=True):
    """The one good end of an `OcrRequest`. `rotation`: degrees clockwise the page had to be turned to stand upright.

    `source`: read from pixels, or the PDF's own text. `truncated`: the recognizer was stopped (`reason`: length or
    repetition). `fallback`: another engine than the chosen one read it. `picture`: a JPEG, if it was asked for.
    """

    engine: str
    text: str
    lines: tuple[OcrLine, ...]
    width: int
    height: int
    rotation: int
    skew_degrees: float
    timings: OcrTimings
    source: Literal["ocr", "text_layer"] = "ocr"
    markdown: str | None = None
    dpi: int | None = None
    truncated: bool = False
    reason: str | None = None
    fallback: bool = False
    picture: bytes = b""


class OcrContents(Message, frozen=True):
    """What a document holds: a worker's answer to `OcrInspect`."""

    kind: str
    pages: int


class OcrGivenUp(Message, frozen=True):
    """A worker's last answer: the page's outcome, with which the worker ends. The page is not tried again."""

    outcome: Failed


class OcrTaken(Message, frozen=True):
    """A document was accepted: its kind, and the numbers (from 0) of the pages that will come, in any order."""

    kind: str
    pages: tuple[int, ...]


class OcrPage(Message, frozen=True):
    """One page of a document is done. `sequence` counts them in order of completion, from 1."""

    number: int
    outcome: OcrResult | Failed
    sequence: int = 0


class OcrFinished(Message, frozen=True):
    """The one good end of an `OcrDocument` that did not become a job."""


JobState = Literal["queued", "running", "done", "failed", "cancelled"]


class OcrJob(Message, frozen=True):
    """A job as it is now; also the good end of an `OcrDocument` that became one. `created`, `expires`: Unix time."""

    id: str
    state: JobState
    format: str
    created: float
    expires: float
    bytes: int
    total: int | None = None
    done: int = 0
    failed: int = 0
    eta_s: float | None = None
    error: Failed | None = None
    owner: str = ""


# ---- health


class ModelInfo(msgspec.Struct, frozen=True):
    """The model an engine serves. `embedding_size`: numbers in a vector of it; None when it makes none.

    `revision` stands for the files that were loaded: equal ones give the same answers. Empty: the engine cannot tell.
    """

    name: str
    context_length: int
    parameters: int | None = None
    weight_bytes: int | None = None
    dtype: str | None = None
    quantization: str | None = None
    load_s: float | None = None
    embedding_size: int | None = None
    kv_bytes_per_token: int | None = None
    revision: str = ""


class DeviceReading(msgspec.Struct, frozen=True):
    """What an engine computes on. None means the platform does not tell."""

    kind: Literal["metal", "cuda", "cpu", "none"]
    name: str | None = None
    blas: str | None = None
    memory_total_bytes: int | None = None
    mlx_version: str | None = None
    metal_available: bool | None = None
    cuda_available: bool | None = None


class MemoryReading(msgspec.Struct, frozen=True):
    """Memory of one process. The mlx_ figures are MLX's own; None where no MLX runs.

    `footprint_bytes`: what would be free without it (`gpu/footprint`); None where the system does not tell.
    """

    rss_bytes: int
    mlx_active_bytes: int | None = None
    mlx_cache_bytes: int | None = None
    mlx_peak_bytes: int | None = None
    mlx_limit_bytes: int | None = None
    footprint_bytes: int | None = None


class PrefixReading(msgspec.Struct, frozen=True):
    """The prefix cache: what it holds, how many prompts and tokens it was asked for, and how many of each it had.

    `disk_tokens` were read back from disk; a limit of 0 there means that it keeps nothing on one.
    """

    bytes: int
    limit_bytes: int
    requests: int
    hits: int
    tokens: int
    saved_tokens: int
    disk_tokens: int = 0
    disk_bytes: int = 0
    disk_limit_bytes: int = 0


class KvReading(msgspec.Struct, frozen=True):
    """Memory of the keys and values of what runs, and what admission allows; None where it cannot be told."""

    bytes: int
    limit_bytes: int | None


class SpeculationReading(msgspec.Struct, frozen=True):
    """Tokens that were guessed, in how many drafts, and how many of them came true."""

    drafts: int = 0
    draft_tokens: int = 0
    accepted_tokens: int = 0

    def __add__(self, other: SpeculationReading) -> SpeculationReading:
        return SpeculationReading(
            self.drafts + other.drafts,
            self.draft_tokens + other.draft_tokens,
            self.accepted_tokens + other.accepted_tokens,
        )


class HistogramReading(msgspec.Struct, frozen=True):
    """How often values came, by upper bound; `counts` has one more, for those beyond all bounds."""

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    total: float


class EngineLoad(msgspec.Struct, frozen=True, omit_defaults=True):
    """How busy an engine is. `step_age_s`: since the turn under way began; 0 when there is nothing to do.

    `phases`: seconds of a turn by what they were spent on; `step_tokens`: what steps computed. `steps`, `tokens` and
    `answers` count from its start.
    """

    running: int
    waiting: int
    step_age_s: float
    steps: int
    tokens: int
    kv: KvReading | None = None
    prefix: PrefixReading | None = None
    answers: int = 0
    phases: dict[str, HistogramReading] = {}
    step_tokens: HistogramReading | None = None
    speculation: SpeculationReading | None = None


class OcrLoad(msgspec.Struct, frozen=True):
    """How busy the OCR broker is. `model_loads`: models loaded in the life of this pool.

    `background`: how many of the busy and waiting ones are background pages.
    """

    workers: int
    busy: int
    waiting: int
    model_loads: int
    pages: int
    failures: int
    worker_restarts: int
    jobs: int = 0
    recycled: int = 0
    fallbacks: int = 0
    background: int = 0


class GpuProcess(msgspec.Struct, frozen=True):
    """Who computes on a GPU, and with how much of its memory."""

    pid: int
    memory_bytes: int | None = None


class GpuReading(msgspec.Struct, frozen=True):
    """One GPU as its driver tells of it, whoever uses it. `unavailable` says of each None why it is None.

    `utilization`: share of the last moments that it worked. `memory_used_bytes` are touched now, `_allocated_` reserved
    by all (Metal alone tells them apart).
    """

    index: int
    kind: Literal["metal", "cuda"]
    name: str | None = None
    uuid: str | None = None
    utilization: float | None = None
    memory_used_bytes: int | None = None
    memory_allocated_bytes: int | None = None
    memory_total_bytes: int | None = None
    temperature_c: float | None = None
    power_w: float | None = None
    processes: tuple[GpuProcess, ...] | None = None
    unavailable: dict[str, str] = {}


class GpuSample(msgspec.Struct, frozen=True, omit_defaults=True):
    """The machine's GPUs. `reason`: why none is told of. `selected`: the one we use, by its index, and why."""

    source: Literal["ioreg", "nvml", "none"]
    gpus: tuple[GpuReading, ...] = ()
    reason: str | None = None
    age_s: float = 0.0
    selected: int | None = None
    why: str | None = None

    @property
    def used(self) -> GpuReading | None:
        """The GPU that the service computes on, if that is known."""
        found = [gpu for gpu in self.gpus if self.selected in (None, gpu.index)]
        return found[0] if len(found) == 1 else None


class LoadProgress(msgspec.Struct, frozen=True):
    """How far the loading of weights is: bytes, and seconds since it began. `total_bytes` is 0 before it is known.

    `steps` counts the work beside reading, such as the steps of the warm-up: it tells a slow start from a hung one.
    """

    done_bytes: int
    total_bytes: int
    seconds: float
    steps: int = 0

    @property
    def eta_s(self) -> float | None:
        """Seconds that are left at this speed; None before there is one."""
        left = self.total_bytes - self.done_bytes
        return None if not self.done_bytes else self.seconds * max(0, left) / self.done_bytes


BackendState = Literal["loading", "ready", "failed"]


class Health(Message, frozen=True):
    """A back end's answer to `Ping`, given while it is loading and while it is busy."""

    state: BackendState
    pid: int
    memory: MemoryReading
    detail: str | None = None
    engine: str | None = None
    model: ModelInfo | None = None
    device: DeviceReading | None = None
    load: EngineLoad | None = None
    ocr: OcrLoad | None = None
    memory_level: Literal["normal", "low", "high"] = "normal"
    location: Literal["cpu", "gpu"] = "gpu"
    progress: LoadProgress | None = None


ModelState = Literal["unloaded", "loading", "gpu", "offloading", "cpu", "restoring", "unloading", "failed"]


class ModelStatus(msgspec.Struct, frozen=True):
    """One model of the supervisor's table. `running`, `waiting`: requests that have a place, and that want one.

    `child`: the name of its process in the table of children. `detail`: why it failed last.
    `wanted`: it is being loaded, or will be, though nobody asks for it. Seconds; bytes on the disk.
    """

    name: str
    state: ModelState
    child: str
    size_bytes: int = 0
    pinned: bool = False
    wanted: bool = False
    running: int = 0
    waiting: int = 0
    idle_s: float = 0.0
    idle_timeout_s: float = 0.0
    detail: str | None = None
    progress: LoadProgress | None = None


ChildState = Literal["stopped", "starting", "ready", "stopping", "backoff", "failed"]


class ChildStatus(msgspec.Struct, frozen=True):
    """One supervised process. `restarts` counts by reason (supervisor/restarts).

    `fallback`: where an engine computes since GPU errors opened its breaker.
    """

    name: str
    state: ChildState
    pid: int | None
    uptime_s: float | None
    restarts: dict[str, int]
    detail: str | None = None
    health: Health | None = None
    fallback: Fallback | None = None


class SystemStatus(Message, frozen=True):
    """The supervisor's table. `restarts`: by child and reason, also of children that have left since."""

    version: str
    pid: int
    uptime_s: float
    children: tuple[ChildStatus, ...]
    gpu: GpuSample | None = None
    models: tuple[ModelStatus, ...] = ()
    background_paused: bool = False
    restarts: dict[str, dict[str, int]] = {}

    def child(self, name: str) -> ChildStatus | None:
        return next((child for child in self.children if child.name == name), None)

    def model(self, name: str) -> ModelStatus | None:
        return next((model for model in self.models if model.name == name), None)


BackendRequest = GenerateRequest | EmbedRequest | OcrRequest | OcrDocument | OcrJobRequest

AnyMessage = (
    GenerateRequest
    | EmbedRequest
    | TokenizeRequest
    | DetokenizeRequest
    | Tokenized
    | Detokenized
    | OcrRequest
    | OcrInspect
    | OcrDocument
    | OcrJobRequest
    | Ping
    | StatusRequest
    | RestartRequest
    | UseModel
    | MoveModel
    | SetIdleTimeout
    | PauseBackground
    | MoveWeights
    | TrimRequest
    | StopRequest
    | Accepted
    | Admitted
    | Delta
    | Embedded
    | ChoiceEnded
    | HandedOver
    | Finished
    | Failed
    | OcrResult
    | OcrContents
    | OcrGivenUp
    | OcrTaken
    | OcrPage
    | OcrFinished
    | OcrJob
    | Health
    | SystemStatus
)
