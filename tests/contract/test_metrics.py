"""What /metrics says against what its client has counted itself: 25 values after one mixed run."""

from __future__ import annotations

from collections import Counter
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.contract.conftest import Service, StartService, events

_KEY = "a-key-of-32-characters-for-tests"


def scraped(service: Service) -> Counter[str]:
    """Every sample of ours by name, summed over labels, and by name and each of its labels."""
    found: Counter[str] = Counter()
    for family in text_string_to_metric_families(service.http.get("/metrics").text):
        for one in family.samples:
            name = one.name.removeprefix("stoker_")
            for key in (name, *(f"{name}/{label}={value}" for label, value in one.labels.items())):
                found[key] += one.value  # type: ignore[assignment]  # a sum of seconds is no whole number
    return found


def usage_of(response: httpx.Response) -> dict[str, int]:
    """Of a whole answer, or of the last chunk of a stream that was asked for it."""
    if response.headers["Content-Type"].startswith("text/event-stream"):
        return next(one["usage"] for one in reversed(events(response.text)) if one != "[DONE]" and one.get("usage"))
    found: dict[str, int] = response.json()["usage"]
    return found


def ask(service: Service, text: str, **more: Any) -> httpx.Response:
    return service.chat(text, max_tokens=20, temperature=0, **more)


def test_the_values_are_those_that_a_client_counts(start_service: StartService) -> None:
    """Requests, tokens, first tokens, gaps, outcomes, choices, keys, refusals."""
    service = start_service(api_keys=f"app:admin:{_KEY}", ocr_workers=0)
    service.http.headers["Authorization"] = f"Bearer {_KEY}"
    streaming = {"stream": True, "stream_options": {"include_usage": True}}
    computed = [ask(service, f"fake:count=7 number {number}") for number in range(4)]
    computed += [ask(service, "fake:count=5 two", n=2), ask(service, "fake:count=99 long")]
    computed += [ask(service, f"fake:count=9 stream {number}", **streaming) for number in range(2)]
    refused = [service.http.post("/v1/chat/completions", json={}) for _ in range(2)]
    unknown = service.http.get("/v1/models", headers={"Authorization": "Bearer nobody"})
    nobody = service.http.get("/v1/models", headers={"Authorization": ""})
    vectors = service.http.post("/v1/embeddings", json={"input": ["abc", "de"]})  # the fake engine makes none
    statuses = Counter(one.status_code for one in (*computed, *refused, unknown, nobody, vectors))
    assert statuses == {200: 8, 400: 3, 401: 2}

    used = [usage_of(one) for one in computed]
    prompt, answer = (sum(one[name] for one in used) for name in ("prompt_tokens", "completion_tokens"))
    found = scraped(service)
    client = {
        "request_success_total/finished_reason=stop": 7,
        "request_success_total/finished_reason=length": 1,
        "request_success_total/finished_reason=error": 0,
        "request_success_total/finished_reason=abort": 0,
        "generation_tokens_total": answer,
        "prompt_tokens_total": prompt,
        "request_prompt_tokens_sum": prompt,
        "request_generation_tokens_sum": answer,
        "request_max_num_generation_tokens_sum": answer - used[4]["completion_tokens"] // 2,  # the longer of two
        "request_params_n_sum": 9,
        "request_params_max_tokens_sum": 8 * 20,
        "time_to_first_token_seconds_count": 8,
        "inter_token_latency_seconds_count": answer - 9,  # one gap less than tokens, each choice
        "e2e_request_latency_seconds_count": 8,
        "request_queue_time_seconds_count": 8,
        "request_decode_time_seconds_count": 8,
        "http_requests_total/route=/v1/chat/completions": 8 + 2,
        "http_request_duration_seconds_count/route=/v1/embeddings": 1,
        "embedding_requests_total/outcome=error": 1,
        "auth_failures_total/reason=unknown": 1,
        "auth_failures_total/reason=missing": 1,
        "http_requests_total/status=400": 3,
        "http_requests_total/status=401": 2,
        "key_requests_total/key=app": 8 + 2 + 1 + 1,  # this scrape too
        "key_tokens_total/key=app": prompt + answer,
        "requests_in_flight": 0,
    }
    assert {name: found[name] for name in client} == client
