"""Health, load and status of engines, OCR broker and supervisor."""

from __future__ import annotations

from typing import Literal, get_args

import msgspec

from src.encoders import ModelKind
from src.ipc.messages.base import Fallback, Message


class ModelInfo(msgspec.Struct, frozen=True):
    """The model an engine serves. `embedding_size`: dimensions of its embeddings; None without.

    `revision` identifies the loaded files: equal ones give the same answers. Empty: unknown. `family`, and how it
    writes `reasoning` and calls of `tools`: docs/families.md; None where it does not, or nobody knows.
    `batches`: whether requests are computed together; where a batch would change answers they are not, and
    `batch_problem` says why.
    `reads_images`: None where nobody tells, or the model's files do.
    `scores_prompts`: whether it tells the log-probabilities of a prompt's tokens.
    `ranks`: processes it is divided over; `weight_bytes` and `kv_bytes_per_token` are those of the first.
    `kind`: what it was made for; `pooling` and `prompts` (their names): of an embedding model. `normalizes`: whether
    its vectors have length 1 unless a request says otherwise. `uses_predictions`: whether drafts come from requests'
    `prediction`.
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
    family: str | None = None
    reasoning: str | None = None
    tools: str | None = None
    batches: bool = True
    batch_problem: str | None = None
    scores_prompts: bool = False
    kind: ModelKind = "chat"
    normalizes: bool = True
    pooling: str | None = None
    prompts: tuple[str, ...] = ()
    reads_images: bool | None = None
    ranks: int = 1
    uses_predictions: bool = False


class DeviceReading(msgspec.Struct, frozen=True):
    """The device of an engine. None: not reported by the platform."""

    kind: Literal["metal", "cuda", "cpu", "none"]
    name: str | None = None
    blas: str | None = None
    memory_total_bytes: int | None = None
    mlx_version: str | None = None
    mlx_library: str | None = None
    library_problem: str | None = None
    metal_available: bool | None = None
    cuda_available: bool | None = None


class MemoryReading(msgspec.Struct, frozen=True):
    """Memory of one process. The mlx_ figures are MLX's own; None where no MLX runs.

    `footprint_bytes`: memory freed by its exit (`gpu/footprint`); None where not reported.
    """

    rss_bytes: int
    mlx_active_bytes: int | None = None
    mlx_cache_bytes: int | None = None
    mlx_peak_bytes: int | None = None
    mlx_limit_bytes: int | None = None
    footprint_bytes: int | None = None


class PrefixReading(msgspec.Struct, frozen=True):
    """The prefix cache: its size, and prompts and tokens looked up and found.

    `disk_tokens` were read from disk; a disk limit of 0 means that the disk tier is off.
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
    """KV-cache memory of running sequences, and its limit; None where unknown."""

    bytes: int
    limit_bytes: int | None


class SpeculationReading(msgspec.Struct, frozen=True):
    """Drafts, draft tokens, and accepted tokens."""

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
    """Counts by upper bound; `counts` has one more entry for values over the last bound."""

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    total: float


class EngineLoad(msgspec.Struct, frozen=True, omit_defaults=True):
    """The load of an engine. `step_age_s`: since the current step started; 0 when idle.

    `phases`: seconds of a step by phase; `step_tokens`: tokens per step. `steps`, `tokens`, `answers` and
    `preempted` background sequences count from its start. `expected_s`: what the step under way (`in_step`) or the last
    one should take; None: unknown.
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
    expected_s: float | None = None
    in_step: bool = False
    preempted: int = 0


class OcrLoad(msgspec.Struct, frozen=True):
    """The load of the OCR broker. `model_loads`: recognizers loaded since its start.

    `background`: background pages among the busy and waiting ones.
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
    """A process on a GPU, and its memory."""

    pid: int
    memory_bytes: int | None = None


class GpuReading(msgspec.Struct, frozen=True):
    """One GPU as its driver reports it. `unavailable` gives the reason for each None.

    `utilization`: busy share of the last sampling period. `memory_used_bytes`: in use now, `_allocated_`: reserved by
    all processes (reported by Metal only).
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
    """The machine's GPUs. `reason`: why there is none. `selected`: index of the GPU in use, and why."""

    source: Literal["ioreg", "nvml", "none"]
    gpus: tuple[GpuReading, ...] = ()
    reason: str | None = None
    age_s: float = 0.0
    selected: int | None = None
    why: str | None = None
    driver: str | None = None

    @property
    def used(self) -> GpuReading | None:
        """The GPU in use, if known."""
        found = [gpu for gpu in self.gpus if self.selected in (None, gpu.index)]
        return found[0] if len(found) == 1 else None


class LoadProgress(msgspec.Struct, frozen=True):
    """Progress of loading weights: bytes, and seconds since its start. `total_bytes` is 0 while unknown.

    `steps` counts work other than reading, such as warm-up steps: it distinguishes a slow start from a hung one.
    """

    done_bytes: int
    total_bytes: int
    seconds: float
    steps: int = 0

    @property
    def eta_s(self) -> float | None:
        """Estimated seconds left; None while unknown."""
        left = self.total_bytes - self.done_bytes
        return None if not self.done_bytes else self.seconds * max(0, left) / self.done_bytes


BackendState = Literal["loading", "ready", "failed"]


class Health(Message, frozen=True):
    """A back end's reply to `Ping`, also while loading or busy."""

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
    """One model of the supervisor's table. `running`, `waiting`: granted and waiting leases.

    `child`: the name of its process in the table of children. `detail`: its last failure.
    `wanted`: loaded without a request. Seconds; bytes on disk.
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

    `fallback`: the device of an engine after GPU faults opened its breaker.
    """

    name: str
    state: ChildState
    pid: int | None
    uptime_s: float | None
    restarts: dict[str, int]
    detail: str | None = None
    health: Health | None = None
    fallback: Fallback | None = None


WaitReason = Literal["paused", "live_traffic", "full", "pause", "hours", "memory", "battery", "heat", "gpu"]
WAIT_REASONS: tuple[WaitReason, ...] = get_args(WaitReason)


class WorkStatus(msgspec.Struct, frozen=True):
    """Work that nobody waits for and that has not ended: a batch's lines, an OCR job's pages, or all background
    responses. `eta_s`: at its mean pace; None while unknown. `waits`: why nothing of it runs; None while it does."""

    kind: Literal["batch", "ocr_job", "responses"]
    id: str
    state: str
    total: int | None
    done: int = 0
    failed: int = 0
    eta_s: float | None = None
    waits: str | None = None


class SystemStatus(Message, frozen=True):
    """The supervisor's table. `restarts`: by child and reason, removed children included. `background_reason`: why
    background requests that wait do. `background_waited_s`: seconds in which they waited, by reason. `work`: added by
    whoever shows it, from STATE_DIR. `ended_engines` (by child), `ended_ocr`: what processes had counted that have
    ended (`counts`)."""

    version: str
    pid: int
    uptime_s: float
    children: tuple[ChildStatus, ...]
    gpu: GpuSample | None = None
    models: tuple[ModelStatus, ...] = ()
    background_paused: bool = False
    restarts: dict[str, dict[str, int]] = msgspec.field(default_factory=dict)
    background_reason: str | None = None
    background_waited_s: dict[str, float] = msgspec.field(default_factory=dict)
    work: tuple[WorkStatus, ...] = ()
    ended_engines: dict[str, EngineLoad] = msgspec.field(default_factory=dict)
    ended_ocr: OcrLoad | None = None

    def child(self, name: str) -> ChildStatus | None:
        return next((child for child in self.children if child.name == name), None)

    def model(self, name: str) -> ModelStatus | None:
        return next((model for model in self.models if model.name == name), None)
