"""All metrics: names, labels, buckets. The web process counts; engine and broker report over the wire.

Names follow vLLM's with our prefix; seconds and bytes only; no user, secret, path or prompt in a label. Gauges that
describe other processes are read at scrape time through `Readings`, so that a dead engine shows as 0, not as its past.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from src.exposition import Exposition

PREFIX = "stoker"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_LATENCY = (0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680)
# a histogram: upper bounds, counts (one more, beyond the last), sum of what was observed
Observed = tuple[tuple[float, ...], tuple[int, ...], float]
_FIRST_TOKEN = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5),
    *(0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560),
)
_INTER_TOKEN = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80)
_HTTP = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
_LAG = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_TOKENS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000, 100000)
_CHOICES = (1, 2, 5, 10, 20)

FINISH_REASONS = ("stop", "length", "tool_calls", "abort", "error")
UNKNOWN = "unknown"  # label of unknown names in requests
LEVELS = ("normal", "low", "high")
MODEL_STATES = ("unloaded", "loading", "gpu", "offloading", "cpu", "restoring", "unloading", "failed")
RESTART_REASONS = ("exit", "signal", "stall", "heartbeat", "probe", "memory", "start", "fault", "gpu", "recycle")
_OCR_COUNTERS = frozenset({"model_loads", "worker_restarts", "workers_recycled", "fallbacks"})
OCR_RESULTS = ("ok", "invalid", "overloaded", "error", "abort")


class Counts(Protocol):
    """A histogram of another process: counts by upper bound, and one more over the last bound."""

    @property
    def bounds(self) -> tuple[float, ...]: ...

    @property
    def counts(self) -> tuple[int, ...]: ...

    @property
    def total(self) -> float: ...


class RepeatedHistogram(Histogram):
    """A histogram that takes the same value many times at once."""

    def observe_many(self, amount: float, count: int) -> None:
        """As `observe`, `count` times."""
        self._sum.inc(amount * count)
        self._buckets[bisect_left(self._upper_bounds, amount)].inc(count)


@dataclass(frozen=True)
class PrefixCounts:
    """Lookups and hits of a prefix cache."""

    requests: int
    hits: int
    tokens: int
    saved_tokens: int
    disk_tokens: int = 0


@dataclass(frozen=True)
class ModelReading:
    """One engine as it is now. `kv_bytes`, `prefix_bytes`: by kind, `used` and `limit`, and the same of its disk.

    `speculation`: counts by name.
    """

    model_name: str
    engine: str
    up: bool
    running: int = 0
    waiting: int = 0
    memory_bytes: dict[str, int] = field(default_factory=dict)
    load_s: float | None = None
    kv_bytes: dict[str, int] = field(default_factory=dict)
    prefix_bytes: dict[str, int] = field(default_factory=dict)
    prefix: PrefixCounts | None = None
    phases: Mapping[str, Counts] = field(default_factory=dict)
    step_tokens: Counts | None = None
    speculation: Mapping[str, int] = field(default_factory=dict)
    preempted: int = 0
    memory_level: str = "normal"
    fallback: bool = False
    state: str = "unloaded"


@dataclass(frozen=True)
class Readings:
    """What the other processes say at scrape time. `restarts`: child → reason → count since the supervisor began."""

    models: tuple[ModelReading, ...] = ()
    restarts: dict[str, dict[str, int]] = field(default_factory=dict)
    process_memory_bytes: dict[str, int] = field(default_factory=dict)
    ocr: dict[str, int] = field(default_factory=dict)
    host_memory_bytes: dict[str, int] = field(default_factory=dict)
    gpu_utilization: dict[str, float] = field(default_factory=dict)
    gpu_memory_bytes: dict[tuple[str, str], int] = field(default_factory=dict)
    in_flight: int = 0
    background_waited_s: Mapping[str, float] = field(default_factory=dict)
    batch_requests: dict[str, int] = field(default_factory=dict)
    key_budgets: Mapping[tuple[str, str], int] = field(default_factory=dict)  # by key and unit
    key_spent: Mapping[tuple[str, str], int] = field(default_factory=dict)
    greenlets: int = 0
    instances: int = 1
    works_on_batches: bool = False
    version: str = ""
    mlx_version: str = ""


class Metrics:
    """The registry of one web process."""

    def __init__(self, readings: Callable[[], Readings]) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # it has no annotations
        self.registry = CollectorRegistry()
        self.counted: list[Counter | Histogram] = []  # what a successor counts on from
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.registry.register(_ReadingsCollector(readings))
        self._http()
        self._generation()
        self._ocr()
        self._exposition = Exposition(self.registry)
        self._dropped = 0

    def render(self, pause: Callable[[], None] = lambda: None) -> bytes:
        """The exposition text. `pause` is called after each family: others may run then."""
        pieces = []
        for piece in self._exposition.pieces():
            pieces.append(piece)
            pause()
        return "".join(pieces).encode()

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        self.counted.append(made := Counter(f"{PREFIX}_{name}", text, labels, registry=self.registry))
        return made

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> RepeatedHistogram:
        made = RepeatedHistogram(f"{PREFIX}_{name}", text, labels, buckets=buckets, registry=self.registry)
        self.counted.append(made)
        return made

    def _http(self) -> None:
        self.http_requests = self._counter("http_requests_total", "HTTP requests.", "method", "route", "status")
        self.http_seconds = self._histogram(
            "http_request_duration_seconds", "Time until the response ended.", _HTTP, "method", "route"
        )
        self.disconnects = self._counter(
            "client_disconnects_total", "Clients that disconnected before the end.", "phase"
        )
        for phase in ("prefill", "decode", "ocr"):
            self.disconnects.labels(phase)
        self.resumed = self._counter("requests_resumed_total", "Requests resumed after a crash.", "kind")
        for kind in ("chat", "ocr"):
            self.resumed.labels(kind)
        self.rate_limited = self._counter("rate_limited_total", "Requests rejected with 429.", "scope")
        self.auth_failures = self._counter("auth_failures_total", "Requests rejected with 401.", "reason")
        for reason in ("missing", "unknown", "expired"):
            self.auth_failures.labels(reason)
        # the names are the configuration's, hence few; a key itself is in no label
        self.key_requests = self._counter("key_requests_total", "Requests by API key's name.", "key")
        self.key_tokens = self._counter("key_tokens_total", "Tokens, prompt and answer, by API key's name.", "key")
        self.key_pages = self._counter(
            "key_pages_total", "OCR pages, those of jobs left out, by API key's name.", "key"
        )
        self.cache_requests = self._counter("cache_requests_total", "Cacheable requests by result.", "result")
        for result in ("hit", "miss", "shared"):
            self.cache_requests.labels(result)
        self.chat_pdfs = self._counter("chat_pdfs_total", "PDFs of chat requests by result.", "result")
        for result in ("read", "cached", "failed"):
            self.chat_pdfs.labels(result)
        self.ignored_fields = self._counter("ignored_fields_total", "Request fields set aside, by name.", "field")
        self.batch_requests = self._counter("batch_requests_total", "Lines of batches by outcome.", "outcome")
        for outcome in ("completed", "failed"):
            self.batch_requests.labels(outcome)
        self.log_dropped = self._counter("log_dropped_total", "Log records that web dropped or could not write.")
        self.lag = self._histogram("event_loop_lag_seconds", "How late the web process's event loop ran.", _LAG)

    def _generation(self) -> None:
        model = ("model_name", "engine")
        self.prompt_tokens = self._counter("prompt_tokens_total", "Prompt tokens of answered requests.", *model)
        self.generation_tokens = self._counter("generation_tokens_total", "Tokens generated.", *model)
        text = "Draft tokens from the predictions of answered requests."
        self.prediction_tokens = self._counter("prediction_tokens_total", text, *model, "outcome")
        self.success = self._counter("request_success_total", "Requests by outcome.", *model, "finished_reason")
        self.embedding_requests = self._counter(
            "embedding_requests_total", "Requests for embeddings by outcome.", *model, "outcome"
        )
        self.ttft = self._histogram("time_to_first_token_seconds", "Request to first token.", _FIRST_TOKEN, *model)
        self.inter_token = self._histogram("inter_token_latency_seconds", "Time between tokens.", _INTER_TOKEN, *model)
        self.e2e = self._histogram("e2e_request_latency_seconds", "Request to last token.", _LATENCY, *model)
        self.queue_time = self._histogram("request_queue_time_seconds", "Time in the queue.", _LATENCY, *model)
        self.prefill_time = self._histogram("request_prefill_time_seconds", "Time in prefill.", _LATENCY, *model)
        self.decode_time = self._histogram("request_decode_time_seconds", "Time in decode.", _LATENCY, *model)
        self.prompt_size = self._histogram("request_prompt_tokens", "Prompt tokens per request.", _TOKENS, *model)
        self.answer_size = self._histogram("request_generation_tokens", "Tokens per answer.", _TOKENS, *model)
        self.inference_time = self._histogram("request_inference_time_seconds", "Prefill and decode.", _LATENCY, *model)
        self.token_time = self._histogram(
            "request_time_per_output_token_seconds", "Decode time per token, by request.", _INTER_TOKEN, *model
        )
        self.longest_answer = self._histogram(
            "request_max_num_generation_tokens", "Tokens of a request's longest choice.", _TOKENS, *model
        )
        self.choices = self._histogram("request_params_n", "Requested choices.", _CHOICES, *model)
        self.max_tokens = self._histogram("request_params_max_tokens", "max_tokens asked for.", _TOKENS, *model)

    def _ocr(self) -> None:
        self.ocr_pages = self._counter("ocr_pages_total", "OCR pages by result.", "result")
        for result in OCR_RESULTS:
            self.ocr_pages.labels(result)
        self.ocr_seconds = self._histogram("ocr_page_duration_seconds", "Time per OCR page, queue included.", _HTTP)

    def note_dropped(self, dropped: int) -> None:
        """Log records, of this process since its start: those of the ones before it are counted already."""
        self.log_dropped.inc(dropped - self._dropped)
        self._dropped = dropped

    def first_tokens(self) -> Observed:
        """First-token times of all models since this process began."""
        samples = [sample for family in self.ttft.collect() for sample in family.samples]
        below = [(sample.labels["le"], int(sample.value)) for sample in samples if sample.name.endswith("_bucket")]
        upto = [sum(count for le, count in below if float(le) == bound) for bound in (*_FIRST_TOKEN, float("inf"))]
        total = sum(sample.value for sample in samples if sample.name.endswith("_sum"))
        return _FIRST_TOKEN, tuple(b - a for a, b in pairwise([0, *upto])), total

    def announce_model(self, model_name: str, engine: str) -> None:
        """Make a model's series exist before its first request."""
        for reason in FINISH_REASONS:
            self.success.labels(model_name, engine, reason)
        for outcome in ("accepted", "rejected"):
            self.prediction_tokens.labels(model_name, engine, outcome)


class _ReadingsCollector(Collector):
    """Reads the other processes at scrape time."""

    def __init__(self, readings: Callable[[], Readings]) -> None:
        self._readings = readings

    def describe(self) -> Iterable[Metric]:
        return []  # so that registering does not scrape

    def collect(self) -> Iterator[Metric]:
        readings = self._readings()
        yield from _models(readings.models)
        yield from _caches(readings.models)
        yield from _steps(readings.models)
        yield from _speculation(readings.models)
        yield _preempted(readings.models)
        yield from _restarts(readings.restarts)
        yield _background_waits(readings.background_waited_s)
        yield _gauge("process_memory_bytes", "Resident memory by process.", ("process",), readings.process_memory_bytes)
        yield _gauge("host_memory_bytes", "The machine's memory.", ("kind",), readings.host_memory_bytes)
        yield _gauge("gpu_utilization_ratio", "GPU utilization.", ("gpu",), readings.gpu_utilization)
        yield _gauge(
            "gpu_memory_bytes", "A GPU's memory, over all processes.", ("gpu", "kind"), readings.gpu_memory_bytes
        )
        yield GaugeMetricFamily(f"{PREFIX}_requests_in_flight", "Chat and OCR requests in flight.", readings.in_flight)
        text = "Budgets of keys for a UTC day, in tokens and pages."
        yield _gauge("key_budget", text, ("key", "unit"), readings.key_budgets)
        text = "Tokens and pages of the UTC day, of keys with a budget."
        yield _gauge("key_budget_spent", text, ("key", "unit"), readings.key_spent)
        yield _gauge("batch_requests_unfinished", "Lines of batches by state.", ("state",), readings.batch_requests)
        yield GaugeMetricFamily(
            f"{PREFIX}_greenlets", "Greenlets of the web process, one per connection.", readings.greenlets
        )
        text = "Instances that share REDIS_URL, this one included, as it saw them last."
        yield GaugeMetricFamily(f"{PREFIX}_instances", text, readings.instances)
        text = "1 on the instance that works on batches and background responses of its STATE_DIR."
        yield GaugeMetricFamily(f"{PREFIX}_works_on_batches", text, float(readings.works_on_batches))
        build = GaugeMetricFamily(f"{PREFIX}_build_info", "Always 1.", labels=("version", "mlx_version"))
        build.add_metric((readings.version, readings.mlx_version), 1)
        yield build
        for name, value in readings.ocr.items():
            family = CounterMetricFamily if name in _OCR_COUNTERS else GaugeMetricFamily
            yield family(f"{PREFIX}_ocr_{name}", f"OCR pool: {name.replace('_', ' ')}.", value=value)


def _restarts(restarts: dict[str, dict[str, int]]) -> Iterator[Metric]:
    """Each reason starts at 0: a series that appears at 1 is not an increase to Prometheus."""
    children = CounterMetricFamily(
        f"{PREFIX}_child_restarts", "Restarts by child and reason.", labels=("child", "reason")
    )
    engines = CounterMetricFamily(f"{PREFIX}_engine_restarts", "Engine restarts by reason.", labels=("reason",))
    for reason in RESTART_REASONS:
        counts = {child: restarts[child].get(reason, 0) for child in sorted(restarts)}
        for child, count in counts.items():
            children.add_metric((child, reason), count)
        engines.add_metric((reason,), sum(count for child, count in counts.items() if child.startswith("engine")))
    yield from (children, engines)


def _models(models: tuple[ModelReading, ...]) -> Iterator[Metric]:
    labels = ("model_name", "engine")
    families = {
        "engine_up": GaugeMetricFamily(f"{PREFIX}_engine_up", "1 when the engine is ready.", labels=labels),
        "running": GaugeMetricFamily(f"{PREFIX}_num_requests_running", "Requests in the batch.", labels=labels),
        "waiting": GaugeMetricFamily(f"{PREFIX}_num_requests_waiting", "Requests in the queue.", labels=labels),
        "level": GaugeMetricFamily(
            f"{PREFIX}_engine_memory_level", "Watermark its memory is over: 0 none, 1 low, 2 high.", labels=labels
        ),
        "fallback": GaugeMetricFamily(
            f"{PREFIX}_engine_fallback", "1 when it computes on the CPU because the GPU failed.", labels=labels
        ),
    }
    memory = GaugeMetricFamily(
        f"{PREFIX}_engine_memory_bytes", "MLX's own memory figures, and the footprint.", labels=(*labels, "kind")
    )
    state = GaugeMetricFamily(f"{PREFIX}_model_state", "1 for the state a model is in.", labels=("model_name", "state"))
    load = GaugeMetricFamily(
        f"{PREFIX}_model_load_duration_seconds", "Duration of the last load.", labels=("model_name",)
    )
    for model in models:
        if model.load_s is not None:
            load.add_metric((model.model_name,), model.load_s)
        key = (model.model_name, model.engine)
        for name in MODEL_STATES:
            state.add_metric((model.model_name, name), int(model.state == name))
        families["engine_up"].add_metric(key, int(model.up))
        families["running"].add_metric(key, model.running)
        families["waiting"].add_metric(key, model.waiting)
        families["level"].add_metric(key, LEVELS.index(model.memory_level))
        families["fallback"].add_metric(key, int(model.fallback))
        for kind, value in model.memory_bytes.items():
            memory.add_metric((*key, kind), value)
    yield from (*families.values(), memory, load, state)


def _caches(models: tuple[ModelReading, ...]) -> Iterator[Metric]:
    """Keys and values, and prompts' beginnings. Queries and hits count tokens, as vLLM's do."""
    labels = ("model_name", "engine")
    kv = GaugeMetricFamily(f"{PREFIX}_kv_cache_bytes", "KV cache of running sequences.", labels=(*labels, "kind"))
    usage = GaugeMetricFamily(f"{PREFIX}_kv_cache_usage_perc", "KV cache usage, 0 to 1.", labels=labels)
    prefix = GaugeMetricFamily(f"{PREFIX}_prefix_cache_bytes", "The prefix cache.", labels=(*labels, "kind"))
    queries = CounterMetricFamily(f"{PREFIX}_prefix_cache_queries", "Prompt tokens looked up.", labels=labels)
    hits = CounterMetricFamily(f"{PREFIX}_prefix_cache_hits", "Prompt tokens found.", labels=labels)
    read = CounterMetricFamily(f"{PREFIX}_prefix_cache_disk_hits", "Prompt tokens found on disk.", labels=labels)
    asked = CounterMetricFamily(f"{PREFIX}_prefix_cache_requests", "Prompts looked up.", labels=(*labels, "result"))
    for model in models:
        key = (model.model_name, model.engine)
        for family, values in ((kv, model.kv_bytes), (prefix, model.prefix_bytes)):
            for kind, value in values.items():
                family.add_metric((*key, kind), value)
        if model.kv_bytes.get("limit"):
            usage.add_metric(key, model.kv_bytes["used"] / model.kv_bytes["limit"])
        if model.prefix is not None:
            queries.add_metric(key, model.prefix.tokens)
            hits.add_metric(key, model.prefix.saved_tokens)
            read.add_metric(key, model.prefix.disk_tokens)
            asked.add_metric((*key, "hit"), model.prefix.hits)
            asked.add_metric((*key, "miss"), model.prefix.requests - model.prefix.hits)
    yield from (kv, usage, prefix, queries, hits, read, asked)


def _steps(models: tuple[ModelReading, ...]) -> Iterator[Metric]:
    labels = ("model_name", "engine")
    text = "Time of a turn of the engine, by phase; forward and sample are parts of decode, measured in one step of 32."
    seconds = HistogramMetricFamily(f"{PREFIX}_engine_step_seconds", text, labels=(*labels, "phase"))
    tokens = HistogramMetricFamily(f"{PREFIX}_engine_step_tokens", "Tokens per step.", labels=labels)
    for model in models:
        key = (model.model_name, model.engine)
        for phase, counts in model.phases.items():
            seconds.add_metric((*key, phase), _buckets(counts), counts.total)
        if model.step_tokens is not None:
            tokens.add_metric(key, _buckets(model.step_tokens), model.step_tokens.total)
    yield from (seconds, tokens)


def _preempted(models: tuple[ModelReading, ...]) -> Metric:
    text = "Background sequences that left the batch for other requests, to go on later."
    family = CounterMetricFamily(f"{PREFIX}_background_preempted", text, labels=("model_name", "engine"))
    for model in models:
        family.add_metric((model.model_name, model.engine), model.preempted)
    return family


def _background_waits(waited_s: Mapping[str, float]) -> Metric:
    text = "Seconds in which background requests waited, by what for."
    family = CounterMetricFamily(f"{PREFIX}_background_wait_seconds", text, labels=("reason",))
    for reason, seconds in waited_s.items():  # the supervisor names them all
        family.add_metric((reason,), seconds)
    return family


def _speculation(models: tuple[ModelReading, ...]) -> Iterator[Metric]:
    """Acceptance rate: accepted over drafted tokens. Tokens a guessing row gets a step: 1 + accepted over drafts."""
    texts = {
        "drafts": "Drafts of speculative decoding.",
        "draft_tokens": "Draft tokens.",
        "accepted_tokens": "Accepted draft tokens.",
    }
    for name, text in texts.items():
        family = CounterMetricFamily(f"{PREFIX}_spec_decode_num_{name}", text, labels=("model_name", "engine"))
        for model in models:
            if name in model.speculation:
                family.add_metric((model.model_name, model.engine), model.speculation[name])
        yield family


def _buckets(counts: Counts) -> list[tuple[str, float]]:
    bounds = [*map(str, counts.bounds), "+Inf"]
    return [(bound, float(count)) for bound, count in zip(bounds, accumulate(counts.counts), strict=True)]


def _gauge(
    name: str, text: str, labels: tuple[str, ...], values: Mapping[str, float] | Mapping[tuple[str, str], float]
) -> Metric:
    family = GaugeMetricFamily(f"{PREFIX}_{name}", text, labels=labels)
    for label, value in values.items():
        family.add_metric((label,) if isinstance(label, str) else label, value)
    return family
