"""How everything stands: what engines, broker and supervisor say of themselves."""

from __future__ import annotations

from typing import Literal

import msgspec

from src.ipc.messages.base import Fallback, Message


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
    restarts: dict[str, dict[str, int]] = msgspec.field(default_factory=dict)

    def child(self, name: str) -> ChildStatus | None:
        return next((child for child in self.children if child.name == name), None)

    def model(self, name: str) -> ModelStatus | None:
        return next((model for model in self.models if model.name == name), None)
