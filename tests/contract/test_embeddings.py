"""POST /v1/embeddings with the `openai` package, on a model with random weights: vectors are exact, not wise."""

from __future__ import annotations

import base64
import math
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from src.settings import Settings
from tests.contract.conftest import Service, StartService

TEXTS = ["the sea", "你好，世界 🎉", "a longer text about ships and harbours " * 12, "x", "the sea"]
STEP = 64


@pytest.fixture(scope="module")
def mlx(random_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One engine for all: a step is 64 tokens, so that the long text takes several."""
    folder = tmp_path_factory.mktemp("s")
    settings = Settings(
        _env_file=None,
        inference_engine="mlx",
        default_model=str(random_model),
        runtime_dir=folder,
        log_dir=folder / "logs",
        prefill_step_size=STEP,
        max_body_mb=1,
        sse_ping_seconds=0.2,
    )
    service = Service(settings)
    service.start_engine()
    yield service
    service.close()


def embed(service: Service, given: Any, **fields: Any) -> httpx.Response:
    return service.http.post("/v1/embeddings", json={"input": given, **fields})


def vectors(response: httpx.Response) -> Any:
    assert response.status_code == 200, response.text
    return np.array([one["embedding"] for one in response.json()["data"]])


def test_the_openai_package(mlx: Service, random_model: Path) -> None:
    """One vector for each text, in order, of length 1; what the package asks for (base64) is what floats say."""
    made = mlx.openai.embeddings.create(model=str(random_model), input=TEXTS)
    assert [one.index for one in made.data] == list(range(len(TEXTS)))
    found = np.array([one.embedding for one in made.data])
    assert np.linalg.norm(found, axis=1) == pytest.approx(1)
    floats = mlx.openai.embeddings.create(model=str(random_model), input=TEXTS, encoding_format="float")
    assert np.array([one.embedding for one in floats.data]) == pytest.approx(found, abs=1e-6)
    assert found[0] == pytest.approx(found[4], abs=1e-5)
    assert abs(float(found[0] @ found[3])) < 0.9999


def test_company_changes_nothing(mlx: Service) -> None:
    """Alone, together, or in pieces of another size: the same vector."""
    together = vectors(embed(mlx, TEXTS))
    for text, expected in zip(TEXTS, together, strict=True):
        assert vectors(embed(mlx, text))[0] == pytest.approx(expected, abs=1e-5)


def test_it_is_the_mean_of_the_last_hidden_state(mlx: Service, random_model: Path) -> None:
    """Computed here by hand, in one piece, with mlx-lm alone."""
    import mlx.core as mx
    from mlx_lm.utils import load

    model, tokenizer = load(str(random_model))[:2]
    model.set_dtype(mx.float32)
    hidden = np.array(model.model(mx.array([tokenizer.encode(TEXTS[2])])))[0]
    mean = hidden.mean(axis=0)
    assert vectors(embed(mlx, TEXTS[2]))[0] == pytest.approx(mean / np.linalg.norm(mean), abs=1e-4)


def test_token_ids(mlx: Service) -> None:
    """A list of ids is one text, a list of lists many; the usage counts all of them."""
    ids = mlx.http.post("/tokenize", json={"prompt": TEXTS[0]}).json()["tokens"]
    one, many = embed(mlx, ids), embed(mlx, [ids, ids[:1]])
    assert vectors(one)[0] == pytest.approx(vectors(embed(mlx, TEXTS[0]))[0], abs=1e-6)
    assert len(vectors(many)) == 2
    assert one.json()["usage"] == {"prompt_tokens": len(ids), "total_tokens": len(ids)}
    assert many.json()["usage"]["total_tokens"] == len(ids) + 1


def test_fewer_dimensions(mlx: Service) -> None:
    """The first so many numbers, of length 1 again; more than there are is an error that says how many there are."""
    whole = vectors(embed(mlx, "the sea"))[0]
    cut = vectors(embed(mlx, "the sea", dimensions=8))[0]
    assert cut == pytest.approx(whole[:8] / np.linalg.norm(whole[:8]), abs=1e-5)
    refused = embed(mlx, "the sea", dimensions=len(whole) + 1)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "dimensions")
    assert str(len(whole)) in refused.json()["error"]["message"]


def test_base64_is_little_endian_float32(mlx: Service) -> None:
    text = embed(mlx, "x", encoding_format="base64").json()["data"][0]["embedding"]
    found = np.frombuffer(base64.b64decode(text), "<f4")
    assert math.isclose(float(np.linalg.norm(found)), 1, abs_tol=1e-5)


BAD: list[tuple[dict[str, Any], str]] = [
    ({"input": ""}, "input"),
    ({"input": []}, "input"),
    ({"input": ["a", ""]}, "input"),
    ({"input": ["a", 1]}, "input"),
    ({"input": [[1], "a"]}, "input"),
    ({"input": [[]]}, "input"),
    ({"input": [-1]}, "input"),
    ({"input": [10_000_000]}, "input"),
    ({"input": ["a"] * 2049}, "input"),
    ({"input": {"text": "a"}}, "input"),
    ({}, "input"),
    ({"input": "a", "dimensions": 0}, "dimensions"),
    ({"input": "a", "encoding_format": "int8"}, "encoding_format"),
    ({"input": "a", "timeout": -1}, "timeout"),
]


@pytest.mark.parametrize(("body", "param"), BAD)
def test_what_is_wrong_is_named(body: dict[str, Any], param: str, mlx: Service) -> None:
    response = mlx.http.post("/v1/embeddings", json=body)
    assert response.status_code == 400, response.text
    assert response.json()["error"]["param"].startswith(param)


def test_a_text_beyond_the_context(mlx: Service) -> None:
    response = embed(mlx, [[1], [1] * 100_000])
    assert response.json()["error"]["code"] == "context_length_exceeded"
    assert response.json()["error"]["param"] == "input"
    cut = embed(mlx, "sea " * 100_000, truncate=True)
    assert (cut.status_code, cut.headers["X-Embedding-Fallback"]) == (200, "chat-model-mean")


def test_fields_nobody_knows(mlx: Service) -> None:
    """Named, as everywhere; `user` is among those without effect."""
    response = embed(mlx, "a", user="u", late_chunking=True)
    assert response.headers["X-Ignored-Fields"] == "late_chunking"
    assert "X-Ignored-Fields" not in embed(mlx, "a", user="u").headers


def test_beside_a_stream(mlx: Service) -> None:
    """Many texts and chat at the same time: both come to their end, and chat's text is what it is alone."""
    calm = mlx.chat("hello", max_tokens=40, temperature=0).json()["choices"][0]["message"]["content"]
    done: list[httpx.Response] = []
    crowd = threading.Thread(target=lambda: done.append(embed(mlx, [f"text {n} " * 9 for n in range(120)])))
    crowd.start()
    try:
        told = mlx.chat("hello", max_tokens=40, temperature=0).json()["choices"][0]["message"]["content"]
    finally:
        crowd.join(60)
    assert told == calm
    assert len(vectors(done[0])) == 120


def test_a_deadline(mlx: Service) -> None:
    """The time a request gives itself is kept, and the engine is free afterwards."""
    late = embed(mlx, ["ship " * 300] * 60, timeout=0.05)
    assert (late.status_code, late.json()["error"]["code"]) == (504, "deadline_exceeded")
    assert mlx.engine is not None
    assert mlx.engine.becomes_idle()


def test_the_fake_engine_makes_none(start_service: StartService) -> None:
    """A clear 400, after the same checks."""
    service = start_service()
    response = embed(service, "a")
    assert (response.status_code, response.json()["error"]["code"]) == (400, "unsupported_value")
    assert response.json()["error"]["param"] == "model"
    assert embed(service, "a", model="nobody").json()["error"]["code"] == "model_not_found"
    assert service.works()


def test_counted(start_service: StartService) -> None:
    service = start_service()
    embed(service, "a")
    line = 'stoker_embedding_requests_total{engine="fake",model_name="demo",outcome="error"} 1.0'
    assert line in service.http.get("/metrics").text
