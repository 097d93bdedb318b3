"""Metrics: names and labels that dashboards rely on, and gauges that do not outlive what they measure."""

from __future__ import annotations

import subprocess
from typing import get_args

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from src.ipc.messages.status import HistogramReading
from src.metrics import FINISH_REASONS, OCR_RESULTS, RESTART_REASONS, Metrics, ModelReading, PrefixCounts, Readings
from src.supervisor.restarts import Reason

MODEL = {"model_name": "demo", "engine": "mlx"}
READINGS = Readings(
    background_waited_s={"paused": 7.5},
    models=(
        ModelReading(
            "demo",
            "mlx",
            up=True,
            running=3,
            waiting=2,
            memory_bytes={"active": 10, "peak": 20},
            load_s=1.5,
            kv_bytes={"used": 30, "limit": 120},
            prefix_bytes={"used": 40, "limit": 400, "disk_used": 70, "disk_limit": 700},
            prefix=PrefixCounts(requests=5, hits=3, tokens=100, saved_tokens=60, disk_tokens=20),
            phases={"decode": HistogramReading((0.01, 0.1), (3, 2, 1), 1.5)},
            step_tokens=HistogramReading((1, 8), (4, 0, 0), 4),
            speculation={"drafts": 10, "draft_tokens": 30, "accepted_tokens": 12},
        ),
    ),
    restarts={"engine:demo": {"stall": 2}, "engine:gone": {"stall": 1}, "web": {"exit": 1}},
    process_memory_bytes={"engine": 1000, "ocr": 2000},
    ocr={"workers": 2, "workers_busy": 1, "queue_depth": 5, "model_loads": 2, "worker_restarts": 0},
    host_memory_bytes={"total": 100, "available": 50},
    gpu_utilization={"0": 0.93},
    gpu_memory_bytes={("0", "used"): 8, ("0", "total"): 11},
    in_flight=1,
    batch_requests={"waiting": 4, "running": 2},
    version="1",
)

# name → labels, as the dashboards and alerts use them
SERIES = {
    "stoker_http_requests_total": {"method", "route", "status"},
    "stoker_http_request_duration_seconds_count": {"method", "route"},
    "stoker_client_disconnects_total": {"phase"},
    "stoker_rate_limited_total": {"scope"},
    "stoker_requests_resumed_total": {"kind"},
    "stoker_auth_failures_total": {"reason"},
    "stoker_cache_requests_total": {"result"},
    "stoker_chat_pdfs_total": {"result"},
    "stoker_batch_requests_total": {"outcome"},
    "stoker_batch_requests_unfinished": {"state"},
    "stoker_key_requests_total": {"key"},
    "stoker_key_tokens_total": {"key"},
    "stoker_request_inference_time_seconds_count": set(MODEL),
    "stoker_request_time_per_output_token_seconds_count": set(MODEL),
    "stoker_request_params_max_tokens_count": set(MODEL),
    "stoker_request_params_n_count": set(MODEL),
    "stoker_request_max_num_generation_tokens_count": set(MODEL),
    "stoker_kv_cache_bytes": {*MODEL, "kind"},
    "stoker_kv_cache_usage_perc": set(MODEL),
    "stoker_prefix_cache_bytes": {*MODEL, "kind"},
    "stoker_prefix_cache_queries_total": set(MODEL),
    "stoker_prefix_cache_hits_total": set(MODEL),
    "stoker_prefix_cache_disk_hits_total": set(MODEL),
    "stoker_prefix_cache_requests_total": {*MODEL, "result"},
    "stoker_engine_step_seconds_count": {*MODEL, "phase"},
    "stoker_engine_step_tokens_count": set(MODEL),
    "stoker_spec_decode_num_drafts_total": set(MODEL),
    "stoker_background_preempted_total": set(MODEL),
    "stoker_background_wait_seconds_total": {"reason"},
    "stoker_spec_decode_num_draft_tokens_total": set(MODEL),
    "stoker_spec_decode_num_accepted_tokens_total": set(MODEL),
    "stoker_host_memory_bytes": {"kind"},
    "stoker_gpu_utilization_ratio": {"gpu"},
    "stoker_gpu_memory_bytes": {"gpu", "kind"},
    "stoker_requests_in_flight": set(),
    "stoker_greenlets": set(),
    "stoker_instances": set(),
    "stoker_works_on_batches": set(),
    "stoker_log_dropped_total": set(),
    "stoker_build_info": {"version", "mlx_version"},
    "stoker_model_load_duration_seconds": {"model_name"},
    "stoker_event_loop_lag_seconds_count": set(),
    "stoker_prompt_tokens_total": set(MODEL),
    "stoker_generation_tokens_total": set(MODEL),
    "stoker_prediction_tokens_total": {*MODEL, "outcome"},
    "stoker_request_success_total": {*MODEL, "finished_reason"},
    "stoker_embedding_requests_total": {*MODEL, "outcome"},
    "stoker_time_to_first_token_seconds_count": set(MODEL),
    "stoker_inter_token_latency_seconds_count": set(MODEL),
    "stoker_e2e_request_latency_seconds_count": set(MODEL),
    "stoker_request_queue_time_seconds_count": set(MODEL),
    "stoker_request_prefill_time_seconds_count": set(MODEL),
    "stoker_request_decode_time_seconds_count": set(MODEL),
    "stoker_request_prompt_tokens_count": set(MODEL),
    "stoker_request_generation_tokens_count": set(MODEL),
    "stoker_ocr_pages_total": {"result"},
    "stoker_ocr_page_duration_seconds_count": set(),
    "stoker_engine_up": set(MODEL),
    "stoker_engine_memory_level": set(MODEL),
    "stoker_engine_fallback": set(MODEL),
    "stoker_model_state": {"model_name", "state"},
    "stoker_num_requests_running": set(MODEL),
    "stoker_num_requests_waiting": set(MODEL),
    "stoker_engine_memory_bytes": {*MODEL, "kind"},
    "stoker_child_restarts_total": {"child", "reason"},
    "stoker_engine_restarts_total": {"reason"},
    "stoker_process_memory_bytes": {"process"},
    "stoker_ocr_workers": set(),
    "stoker_ocr_workers_busy": set(),
    "stoker_ocr_queue_depth": set(),
    "stoker_ocr_model_loads_total": set(),
    "stoker_ocr_worker_restarts_total": set(),
}


def observed() -> Metrics:
    """A registry in which everything has happened once."""
    metrics = Metrics(lambda: READINGS)
    metrics.announce_model(**MODEL)
    metrics.embedding_requests.labels(**MODEL, outcome="stop").inc()
    metrics.http_requests.labels("POST", "/v1/chat/completions", "200").inc()
    metrics.http_seconds.labels("POST", "/v1/chat/completions").observe(0.2)
    metrics.rate_limited.labels("/v1/ocr").inc()
    metrics.lag.observe(0.001)
    metrics.key_requests.labels("alice").inc()
    metrics.key_tokens.labels("alice").inc(9)
    metrics.ocr_seconds.observe(1.0)
    for counter in (metrics.prompt_tokens, metrics.generation_tokens):
        counter.labels(**MODEL).inc(7)
    for histogram in (metrics.ttft, metrics.inter_token, metrics.e2e, metrics.queue_time, metrics.prefill_time):
        histogram.labels(**MODEL).observe(0.1)
    for histogram in (
        metrics.decode_time,
        metrics.prompt_size,
        metrics.answer_size,
        metrics.max_tokens,
        metrics.choices,
    ):
        histogram.labels(**MODEL).observe(1)
    for histogram in (metrics.inference_time, metrics.token_time, metrics.longest_answer):
        histogram.labels(**MODEL).observe(0.1)
    return metrics


def samples(metrics: Metrics) -> dict[str, list[dict[str, str]]]:
    """The labels of every sample on the page, by name."""
    found: dict[str, list[dict[str, str]]] = {}
    for family in text_string_to_metric_families(metrics.render().decode()):
        for sample in family.samples:
            found.setdefault(sample.name, []).append(sample.labels)
    return found


@pytest.mark.parametrize("name", SERIES)
def test_a_series_has_its_name_and_labels(name: str) -> None:
    """Names and labels are an interface: dashboards and alerts are written against them."""
    assert set(samples(observed())[name][0]) == SERIES[name]


def test_every_name_of_ours_is_listed_here() -> None:
    """A new metric is added to the list above on purpose, never by accident."""
    names = {name for name in samples(observed()) if name.startswith("stoker_")}
    parts = {name.rpartition("_")[0] + "_count" for name in names if name.endswith(("_bucket", "_sum"))}
    plain = {name for name in names if not name.endswith(("_bucket", "_sum"))}
    assert (plain | parts) - set(SERIES) == set()


def test_promtool_finds_nothing_to_say() -> None:
    """The page follows Prometheus' conventions."""
    checked = subprocess.run(["promtool", "check", "metrics"], input=observed().render(), capture_output=True)
    assert (checked.returncode, checked.stdout.decode(), checked.stderr.decode()) == (0, "", "")


def test_no_created_series() -> None:
    """Nobody needs a time stamp beside each counter."""
    assert not [name for name in samples(observed()) if name.endswith("_created")]


def test_known_series_exist_before_anything_happened() -> None:
    """`rate()` sees the first event: labels that are known in advance start at 0."""
    metrics = Metrics(Readings)
    metrics.announce_model(**MODEL)
    value = metrics.registry.get_sample_value
    assert {value("stoker_request_success_total", {**MODEL, "finished_reason": r}) for r in FINISH_REASONS} == {0}
    assert {value("stoker_ocr_pages_total", {"result": result}) for result in OCR_RESULTS} == {0}
    assert {value("stoker_client_disconnects_total", {"phase": phase}) for phase in ("prefill", "decode")} == {0}


def test_readings_are_taken_at_scrape_time() -> None:
    """A gauge shows what is so now, and a dead engine shows 0, not its past."""
    now = READINGS
    metrics = Metrics(lambda: now)
    value = metrics.registry.get_sample_value
    assert value("stoker_engine_up", MODEL) == 1
    assert value("stoker_num_requests_running", MODEL) == 3
    now = Readings(models=(ModelReading("demo", "mlx", up=False),))
    assert value("stoker_engine_up", MODEL) == 0
    assert value("stoker_num_requests_running", MODEL) == 0
    assert value("stoker_engine_memory_bytes", {**MODEL, "kind": "active"}) is None


def test_an_engines_caches_and_steps_are_shown() -> None:
    """What the engine counted arrives as it is: shares, tokens found, cumulative buckets."""
    value = Metrics(lambda: READINGS).registry.get_sample_value
    assert value("stoker_background_wait_seconds_total", {"reason": "paused"}) == 7.5
    assert value("stoker_kv_cache_usage_perc", MODEL) == 0.25
    assert value("stoker_prefix_cache_bytes", {**MODEL, "kind": "limit"}) == 400
    assert value("stoker_prefix_cache_queries_total", MODEL) == 100
    assert value("stoker_prefix_cache_hits_total", MODEL) == 60
    assert value("stoker_prefix_cache_bytes", {**MODEL, "kind": "disk_used"}) == 70
    assert value("stoker_prefix_cache_disk_hits_total", MODEL) == 20
    assert value("stoker_prefix_cache_requests_total", {**MODEL, "result": "miss"}) == 2
    assert value("stoker_spec_decode_num_draft_tokens_total", MODEL) == 30
    assert value("stoker_spec_decode_num_accepted_tokens_total", MODEL) == 12
    decode = {**MODEL, "phase": "decode"}
    buckets = [value("stoker_engine_step_seconds_bucket", {**decode, "le": le}) for le in ("0.01", "0.1", "+Inf")]
    assert buckets == [3, 5, 6]
    assert value("stoker_engine_step_seconds_sum", decode) == 1.5
    assert value("stoker_engine_step_seconds_count", decode) == 6


def test_restarts_are_counted_by_child_and_reason() -> None:
    """The supervisor's counts come through, the engines' together too; each reason begins at 0."""
    value = Metrics(lambda: READINGS).registry.get_sample_value
    assert value("stoker_child_restarts_total", {"child": "web", "reason": "exit"}) == 1
    assert value("stoker_child_restarts_total", {"child": "engine:demo", "reason": "stall"}) == 2
    assert value("stoker_child_restarts_total", {"child": "engine:demo", "reason": "exit"}) == 0
    assert value("stoker_engine_restarts_total", {"reason": "stall"}) == 3
    assert value("stoker_engine_restarts_total", {"reason": "exit"}) == 0
    assert set(RESTART_REASONS) == set(get_args(Reason))


def test_registering_does_not_ask() -> None:
    """Starting the web process must not wait for the supervisor."""
    calls: list[int] = []

    def readings() -> Readings:
        calls.append(1)
        return Readings()

    metrics = Metrics(readings)
    assert calls == []
    metrics.render()
    assert calls == [1]


def test_the_page_is_prometheus_clients_own() -> None:
    """Byte for byte, also at the second scrape, whose series' names are kept; labels are escaped."""
    metrics = observed()
    metrics.key_requests.labels('a "quoted"\\ name\nof two lines').inc()
    own = [metric for metric in (metrics.render(), metrics.render()) if metric]
    for page in own:
        assert _without_process(page) == _without_process(generate_latest(metrics.registry))
    metrics.key_requests.labels("bob").inc(3)
    assert b'stoker_key_requests_total{key="bob"} 3.0' in metrics.render()


@pytest.mark.parametrize("seconds", [0.0, 0.01, 0.0101, 80.0, 1e6])
def test_the_same_value_many_times(seconds: float) -> None:
    """As if each had been observed: bounds belong to their bucket, beyond the last is the last one's."""
    once, together = Metrics(Readings), Metrics(Readings)
    for _ in range(7):
        once.inter_token.labels(**MODEL).observe(seconds)
    together.inter_token.labels(**MODEL).observe_many(seconds, 7)
    assert _of_tokens(together) == _of_tokens(once)
    together.inter_token.labels(**MODEL).observe_many(seconds, 0)
    assert _of_tokens(together) == _of_tokens(once)


def _of_tokens(metrics: Metrics) -> list[tuple[str, str, float]]:
    families = text_string_to_metric_families(metrics.render().decode())
    samples = [sample for family in families if "inter_token" in family.name for sample in family.samples]
    assert samples
    return [(sample.name, sample.labels.get("le", ""), round(sample.value, 6)) for sample in samples]


def test_a_scrape_lets_others_run() -> None:
    """Between two families: streams wait for no more than one of them."""
    pauses = []
    page = observed().render(pause=lambda: pauses.append(1))
    assert len(pauses) == page.count(b"# TYPE ")


def _without_process(page: bytes) -> list[bytes]:
    """What this process uses changes between two pages."""
    return [line for line in page.splitlines() if not line.startswith(b"process_")]
