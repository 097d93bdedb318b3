"""The response cache on the running service: streams that share one answer, and a first client that leaves."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.running import service

pytestmark = pytest.mark.e2e


def body(text: str, **more: object) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], "temperature": 0, "max_tokens": 500, **more}


def test_streams_share_an_answer_and_outlive_the_one_who_began_it() -> None:
    """Six identical requests compute once; when the first client leaves, the next goes on by itself for all others."""
    with service(inference_engine="fake", ocr_workers=0, enable_caching=True) as running:
        url = f"{running.url}/v1/chat/completions"

        def ask(number: int) -> tuple[str | None, str]:
            slow = body("fake:delay=0.05 fake:count=20 abc", stream=number % 2 == 0)
            reply = httpx.post(url, json=slow, timeout=30)
            return reply.headers.get("X-Cache"), reply.text

        with ThreadPoolExecutor(6) as crowd:
            results = list(crowd.map(ask, range(6)))
        assert sorted(str(cache) for cache, _ in results) == ["hit"] * 5 + ["miss"]
        assert len({json.loads(text)["choices"][0]["message"]["content"] for _, text in results[1::2]}) == 1
        assert all(text.endswith("data: [DONE]\n\n") for _, text in results[::2])
        with ThreadPoolExecutor(3) as crowd:
            again = body("fake:delay=0.05 fake:count=40 leave", stream=True)
            with httpx.stream("POST", url, json=again, timeout=30) as first:
                lines = first.iter_lines()
                next(lines)
                others = [crowd.submit(httpx.post, url, json=again, timeout=30) for _ in range(3)]
                next(line for at, line in enumerate(lines) if at > 10)
            texts = [other.result(30).text for other in others]
        assert all(text.endswith("data: [DONE]\n\n") for text in texts), [text[-300:] for text in texts]
        page = running.get("/metrics")[1].decode()
    # one answer for six, one that was left, one for the three that stayed
    assert 'stoker_cache_requests_total{result="miss"} 3.0' in page
    assert 'stoker_request_success_total{engine="fake",finished_reason="abort",model_name="demo"} 1.0' in page
