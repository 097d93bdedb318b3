"""POST /v1/rerank over HTTP, on a model with random weights: the order is exact, not wise."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from tests.contract.conftest import Service
from tests.contract.test_openai import start

QUERY = "ships at sea"
DOCUMENTS = ["bread and butter", "ships at sea", "你好，世界", "a harbour with ships"]


@pytest.fixture(scope="module")
def mlx(random_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    yield from start("mlx", random_model, tmp_path_factory)


def rerank(service: Service, route: str = "/v1/rerank", **fields: Any) -> httpx.Response:
    return service.http.post(route, json={"query": QUERY, "documents": DOCUMENTS, **fields})


@pytest.mark.parametrize("route", ["/v1/rerank", "/v2/rerank", "/rerank"])
def test_documents_are_sorted_by_the_cosine_of_their_vectors(route: str, mlx: Service) -> None:
    response = rerank(mlx, route)
    assert response.status_code == 200, response.text
    body = response.json()
    data = mlx.http.post("/v1/embeddings", json={"input": [QUERY, *DOCUMENTS]}).json()
    query, *rest = (np.array(one["embedding"]) for one in data["data"])
    expected = [float(query @ one) for one in rest]
    scores = [one["relevance_score"] for one in body["results"]]
    assert scores == pytest.approx(sorted(expected, reverse=True), abs=1e-5)
    assert [one["index"] for one in body["results"]] == list(np.argsort(expected)[::-1])
    assert body["results"][0] == {"index": 1, "relevance_score": pytest.approx(1.0, abs=1e-5)}
    assert body["usage"]["total_tokens"] == data["usage"]["total_tokens"]
    assert body["method"] == "cosine of a chat model's mean hidden states"
    assert response.headers["X-Embedding-Fallback"] == "chat-model-mean"


def test_the_best_with_their_texts(mlx: Service) -> None:
    """Objects are documents too; more than there are is all of them."""
    objects = [{"text": text} for text in DOCUMENTS]
    body = rerank(mlx, documents=objects, top_n=2, return_documents=True).json()
    assert len(body["results"]) == 2
    assert body["results"][0]["document"] == {"text": QUERY}
    assert len(rerank(mlx, top_n=99).json()["results"]) == len(DOCUMENTS)


BAD: list[tuple[dict[str, Any], str]] = [
    ({"query": ""}, "query"),
    ({"query": None}, "query"),
    ({"documents": []}, "documents"),
    ({"documents": ["a", ""]}, "documents"),
    ({"documents": [{"image": "x"}]}, "documents"),
    ({"documents": ["a"] * 1001}, "documents"),
    ({"documents": ["x " * 100_000]}, "documents"),
    ({"top_n": 0}, "top_n"),
    ({"timeout": -1}, "timeout"),
]


@pytest.mark.parametrize(("fields", "param"), BAD)
def test_what_is_wrong_is_named(fields: dict[str, Any], param: str, mlx: Service) -> None:
    response = rerank(mlx, **fields)
    assert response.status_code == 400, response.text
    assert response.json()["error"]["param"].startswith(param)


def test_fields_nobody_knows(mlx: Service) -> None:
    assert rerank(mlx, rank_fields=["a"]).headers["X-Ignored-Fields"] == "rank_fields"


def test_an_engine_without_vectors(service: Service) -> None:
    response = rerank(service)
    assert (response.status_code, response.json()["error"]["param"]) == (400, "model")
