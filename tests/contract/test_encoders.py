"""/v1/embeddings and /v1/rerank over HTTP with an embedding model and a reranker, and what these models refuse."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from src.settings import Settings
from tests import encoder_models as tiny
from tests.contract.conftest import Service

PROMPTS = {"prompts": {"query": "query: ", "document": "text: "}}
FILES: Any = {"sentence_bert_config": {"max_seq_length": 16}, "config_sentence_transformers": PROMPTS}
QUERY, DOCUMENTS = "ships at sea", ["bread and butter", "the sea", "grey water", "a harbour with ships"]


def start(folder: Path) -> Iterator[Service]:
    settings = Settings(
        _env_file=None,
        inference_engine="mlx",
        models_dir=folder,
        default_model="model",
        runtime_dir=folder,
        log_dir=folder / "logs",
    )
    service = Service(settings)
    service.start_engine()
    yield service
    service.close()


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("m")
    tiny.bert(folder / "model", modules=tiny.modules("Transformer", "Pooling"), **FILES)
    yield from start(folder)


@pytest.fixture(scope="module")
def reranker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("m")
    tiny.bert(folder / "model", classifier=True)
    yield from start(folder)


def embed(service: Service, given: Any, **fields: Any) -> httpx.Response:
    return service.http.post("/v1/embeddings", json={"input": given, **fields})


def vectors(response: httpx.Response) -> Any:
    assert response.status_code == 200, response.text
    return np.array([one["embedding"] for one in response.json()["data"]])


def rerank(service: Service, **fields: Any) -> Any:
    response = service.http.post("/v1/rerank", json={"query": QUERY, "documents": DOCUMENTS, **fields})
    assert response.status_code == 200, response.text
    return response.json()


def test_vectors_are_an_embedding_models_own(embedder: Service) -> None:
    """No stand-in is named; a checkpoint that does not normalise is not normalised, unless the request asks for it."""
    response = embed(embedder, DOCUMENTS)
    assert "X-Embedding-Fallback" not in response.headers
    found = vectors(response)
    lengths = np.linalg.norm(found, axis=1)
    assert np.abs(lengths - 1).min() > 0.01
    unit = vectors(embed(embedder, DOCUMENTS, normalize=True))
    assert unit == pytest.approx(found / lengths[:, None], abs=1e-5)
    cut = vectors(embed(embedder, DOCUMENTS, normalize=True, dimensions=4))
    assert cut == pytest.approx(found[:, :4] / np.linalg.norm(found[:, :4], axis=1)[:, None], abs=1e-5)


def test_prompts_by_name_and_by_purpose(embedder: Service) -> None:
    plain, query, document = (
        vectors(embed(embedder, "the sea", **fields))[0]
        for fields in ({}, {"prompt_name": "query"}, {"input_type": "search_document"})
    )
    assert query == pytest.approx(vectors(embed(embedder, "query: the sea"))[0])
    assert document == pytest.approx(vectors(embed(embedder, "text: the sea"))[0])
    assert plain != pytest.approx(query)


BAD: list[tuple[dict[str, Any], str]] = [
    ({"prompt_name": "nothing"}, "prompt_name"),
    ({"input_type": "nothing"}, "input_type"),
    ({"truncate": "MIDDLE"}, "truncate"),
    ({"truncate_prompt_tokens": -2}, "truncate_prompt_tokens"),
    ({"normalize": "yes"}, "normalize"),
    ({"input": "the sea " * 10}, "input"),
    ({"input": [[999]]}, "input"),
]


@pytest.mark.parametrize(("fields", "param"), BAD)
def test_what_is_wrong_is_named(fields: dict[str, Any], param: str, embedder: Service) -> None:
    response = embedder.http.post("/v1/embeddings", json={"input": "the sea", **fields})
    assert response.status_code == 400, response.text
    assert response.json()["error"]["param"].startswith(param)


@pytest.mark.parametrize(
    "fields", [{"truncate": "END"}, {"truncate": True}, {"truncation": True}, {"truncate_prompt_tokens": -1}]
)
def test_long_texts_are_cut_where_asked(fields: dict[str, Any], embedder: Service) -> None:
    """To the context: the same vector as that of the text that fits."""
    long, whole = "sea " * 100, "sea " * 14
    refused = embed(embedder, long)
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "context_length_exceeded")
    response = embed(embedder, long, **fields)
    assert vectors(response)[0] == pytest.approx(vectors(embed(embedder, whole))[0], abs=1e-5)
    assert response.json()["usage"]["prompt_tokens"] == 16


def test_ollama_cuts_unless_told_otherwise(embedder: Service) -> None:
    def ask(**fields: Any) -> httpx.Response:
        return embedder.http.post("/api/embed", json={"model": "model", "input": "sea " * 100, **fields})

    assert ask().status_code == ask(truncate=True).status_code == 200
    assert ask(truncate=False).status_code == 400
    assert "X-Ignored-Fields" not in ask(truncate=True).headers


def test_rerank_by_an_embedding_models_cosine(embedder: Service) -> None:
    """With its own prompts for queries and documents."""
    body = rerank(embedder)
    query = vectors(embed(embedder, QUERY, input_type="query", normalize=True))[0]
    documents = vectors(embed(embedder, DOCUMENTS, input_type="document", normalize=True))
    found = {one["index"]: one["relevance_score"] for one in body["results"]}
    assert [found[at] for at in range(4)] == pytest.approx(list(documents @ query), abs=1e-5)
    assert body["method"] == "cosine of embeddings"


def test_rerank_by_a_reranker(reranker: Service) -> None:
    """Each document is read with the query; alone or among others its score is the same."""
    body = rerank(reranker, return_documents=True)
    scores = [one["relevance_score"] for one in body["results"]]
    assert body["method"] == "reranker"
    assert scores == sorted(scores, reverse=True)
    assert all(0 < score < 1 for score in scores)
    alone = [rerank(reranker, documents=[text])["results"][0]["relevance_score"] for text in DOCUMENTS]
    assert scores == pytest.approx(sorted(alone, reverse=True), abs=1e-5)
    assert len(rerank(reranker, top_k=2)["results"]) == 2


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Qwen3-Reranker's shape, told by its files."""
    folder = tmp_path_factory.mktemp("m")
    tiny.judge(folder / "model", classifier=True, sentence_bert_config={"max_seq_length": 256})
    config = folder / "model" / "config.json"
    config.write_text(config.read_text().replace('"max_position_embeddings": 64', '"max_position_embeddings": 256'))
    yield from start(folder)


def test_rerank_by_a_judge(judge: Service) -> None:
    """Alone or among others a document's score is the same; another instruction gives others."""
    body = rerank(judge)
    scores = [one["relevance_score"] for one in body["results"]]
    assert body["method"] == "reranker"
    alone = [rerank(judge, documents=[text])["results"][0]["relevance_score"] for text in DOCUMENTS]
    assert scores == pytest.approx(sorted(alone, reverse=True), rel=1e-5)
    told = rerank(judge, instruction="bread butter bread")["results"]
    assert sorted(one["relevance_score"] for one in told) != pytest.approx(sorted(scores), rel=1e-6)
    long = judge.http.post("/v1/rerank", json={"query": "sea " * 300, "documents": ["bread"]}).json()["error"]
    assert (long["code"], long["param"]) == ("context_length_exceeded", "query")


def test_others_are_told_no_instruction(embedder: Service, reranker: Service) -> None:
    for service in (embedder, reranker):
        body = {"query": QUERY, "documents": DOCUMENTS, "instruction": "bread"}
        response = service.http.post("/v1/rerank", json=body)
        assert (response.status_code, response.json()["error"]["param"]) == (400, "instruction")


def test_long_documents(reranker: Service) -> None:
    long = {"query": QUERY, "documents": ["sea " * 300]}
    refused = reranker.http.post("/v1/rerank", json=long).json()["error"]
    assert (refused["code"], refused["param"]) == ("context_length_exceeded", "documents")
    short = rerank(reranker, documents=["sea " * 5])["results"][0]["relevance_score"]
    cut = rerank(reranker, documents=long["documents"], max_tokens_per_doc=5)["results"][0]["relevance_score"]
    assert cut == pytest.approx(short, abs=1e-6)
    assert rerank(reranker, documents=long["documents"], truncation=True)["usage"]["total_tokens"] == 64


CHAT: Any = {"messages": [{"role": "user", "content": "hello"}]}


@pytest.mark.parametrize(
    ("route", "body"),
    [
        ("/v1/chat/completions", CHAT),
        ("/v1/completions", {"prompt": "hello"}),
        ("/v1/completions", {"prompt": "hello", "echo": True, "logprobs": 1, "max_tokens": 0}),
        ("/v1/messages", {**CHAT, "max_tokens": 5}),
        ("/v1/responses", {"input": "hello"}),
        ("/api/chat", {**CHAT, "model": "model"}),
    ],
)
def test_they_do_not_chat(route: str, body: dict[str, Any], embedder: Service, reranker: Service) -> None:
    """A clear 400 that says where to go."""
    for service, where in ((embedder, "/v1/embeddings"), (reranker, "/v1/rerank")):
        response = service.http.post(route, json=body)
        assert response.status_code == 400, response.text
        assert where in response.text


def test_a_reranker_makes_no_embeddings(reranker: Service) -> None:
    response = embed(reranker, "the sea")
    assert (response.status_code, response.json()["error"]["param"]) == (400, "model")
    assert "/v1/rerank" in response.json()["error"]["message"]


def test_listed_as_what_they_are(embedder: Service, reranker: Service) -> None:
    for service, kind in ((embedder, "embeddings"), (reranker, "rerank")):
        (card,) = [one for one in service.http.get("/v1/models").json()["data"] if one["id"] == "model"]
        assert card["capabilities"] == [kind]
    assert embedder.http.get("/api/tags").json()["models"][0]["name"] == "model"
    assert embedder.http.post("/api/show", json={"model": "model"}).json()["capabilities"] == ["embedding"]


def test_tokenized(embedder: Service) -> None:
    response = embedder.http.post("/tokenize", json={"prompt": "the sea"})
    assert response.json()["count"] == 4, response.text
