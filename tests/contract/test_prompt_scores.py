"""`echo` with `logprobs` on /v1/completions: how likely a prompt is, as lm-eval's local-completions asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from src.engine.mlx import scoring
from src.settings import Settings
from tests.contract.conftest import Service, StartService, events

PROMPTS = ["the sea", "你好，世界 🎉", "a longer text about ships and harbours " * 12]
STEP = 64


@pytest.fixture(scope="module")
def mlx(random_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A step is 64 tokens: the long prompt takes several."""
    folder = tmp_path_factory.mktemp("s")
    settings = Settings(
        _env_file=None,
        inference_engine="mlx",
        default_model=str(random_model),
        runtime_dir=folder,
        log_dir=folder / "logs",
        prefill_step_size=STEP,
    )
    service = Service(settings)
    service.start_engine()
    yield service
    service.close()


def complete(service: Service, prompt: Any, **fields: Any) -> dict[str, Any]:
    body = {"prompt": prompt, "echo": True, "logprobs": 1, "temperature": 0, "max_tokens": 1, "seed": 1234, **fields}
    response = service.http.post("/v1/completions", json=body)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def ids(service: Service, text: str) -> list[int]:
    found: list[int] = service.http.post("/tokenize", json={"prompt": text}).json()["tokens"]
    return found


@pytest.fixture(scope="module")
def reference(random_model: Path) -> Any:
    """Log-probabilities of all tokens after each place, by mlx-lm alone."""
    import mlx.core as mx
    from mlx_lm.utils import load

    model = load(str(random_model))[0]
    model.set_dtype(mx.float32)

    def scores(tokens: list[int]) -> Any:
        logits = model(mx.array([tokens]))[0]
        return np.array(logits - mx.logsumexp(logits, axis=-1, keepdims=True))

    return scores


@pytest.mark.parametrize("slice_", [1 << 26, 1])
def test_they_are_the_models_own(slice_: int, mlx: Service, reference: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of token ids, in a batch, over several steps and slices: what mlx-lm computes in one piece."""
    monkeypatch.setattr(scoring, "_MAX_LOGITS", slice_)
    prompts = [ids(mlx, text) for text in PROMPTS]
    body = complete(mlx, prompts, logprobs=3)
    assert [choice["index"] for choice in body["choices"]] == [0, 1, 2]
    assert body["usage"]["prompt_tokens"] == sum(map(len, prompts))
    for tokens, text, choice in zip(prompts, PROMPTS, body["choices"], strict=True):
        expected, found = reference(tokens), choice["logprobs"]
        assert found["token_logprobs"][0] is None
        assert found["top_logprobs"][0] is None
        given = [expected[at, token] for at, token in enumerate(tokens[1:])]
        assert found["token_logprobs"][1:-1] == pytest.approx(given, abs=1e-3)
        best = [max(top.values()) for top in found["top_logprobs"][1:]]
        assert best == pytest.approx(expected.max(axis=-1), abs=1e-3)
        assert choice["text"].startswith(text)
        assert len(found["tokens"]) == len(found["text_offset"]) == len(tokens) + 1
        assert found["text_offset"][0] == 0


def test_the_one_token_is_greedy_decoding(mlx: Service) -> None:
    """The token that the scores bring with them is the one an ordinary completion gives."""
    for text in PROMPTS:
        plain = mlx.http.post("/v1/completions", json={"prompt": text, "temperature": 0, "max_tokens": 1}).json()
        choice = complete(mlx, text)["choices"][0]
        assert choice["text"] == text + plain["choices"][0]["text"]
        assert choice["finish_reason"] == plain["choices"][0]["finish_reason"]


def test_nothing_is_skipped_that_is_cached(mlx: Service) -> None:
    """A prompt whose keys and values are cached is scored from its beginning."""
    text = PROMPTS[2]
    first = complete(mlx, text, max_tokens=0)["choices"][0]
    mlx.http.post("/v1/completions", json={"prompt": text, "max_tokens": 2})
    again = complete(mlx, text, max_tokens=0)["choices"][0]
    assert first["text"] == text
    assert again["logprobs"]["token_logprobs"][1:] == pytest.approx(first["logprobs"]["token_logprobs"][1:], abs=1e-4)
    assert len(again["logprobs"]["tokens"]) == len(ids(mlx, text))


def test_an_answer_goes_on_behind_it(mlx: Service) -> None:
    """With more tokens, and with several choices: the prompt's entries, then the answer's."""
    body = complete(mlx, "the sea", max_tokens=4, n=2, temperature=1)
    length = len(ids(mlx, "the sea"))
    for choice in body["choices"]:
        assert len(choice["logprobs"]["tokens"]) == length + 4
        assert choice["logprobs"]["token_logprobs"][0] is None


def test_on_the_fake_engine(service: Service) -> None:
    """OpenAI's legacy object, whole."""
    choice = complete(service, ["ab"], max_tokens=0)["choices"][0]
    assert choice["text"] == "ab"
    assert choice["finish_reason"] == "length"
    assert choice["logprobs"] == {
        "tokens": ["a", "b"],
        "token_logprobs": [None, 0.0],
        "top_logprobs": [None, {"b": 0.0}],
        "text_offset": [0, 1],
    }
    plain = complete(service, [[97, 98]], max_tokens=0, logprobs=None)
    assert (plain["choices"][0]["text"], plain["choices"][0]["logprobs"]) == ("ab", None)
    assert plain["usage"] == {**plain["usage"], "prompt_tokens": 2, "completion_tokens": 0}


@pytest.mark.parametrize("prompt", ["ab", [97, 98], ["ab"], [[97, 98]]])
def test_echo_without_scores(prompt: Any, service: Service) -> None:
    """Token ids are echoed as text."""
    assert complete(service, prompt, logprobs=None, max_tokens=9)["choices"][0]["text"] == "abab"


def test_a_stream_begins_with_the_prompts_scores(service: Service) -> None:
    """Offsets of the answer go on behind it."""
    fields = {"prompt": "ab", "echo": True, "logprobs": 1, "stream": True}
    *chunks, last, done = events(service.http.post("/v1/completions", json=fields).text)
    assert done == "[DONE]"
    first = chunks[0]["choices"][0]
    assert first["text"] == "ab"
    assert first["logprobs"]["token_logprobs"] == [None, 0.0]
    assert [chunk["choices"][0]["logprobs"]["text_offset"] for chunk in chunks[1:]] == [[2], [3]]
    assert last["choices"][0]["finish_reason"] == "stop"


def test_a_prompt_that_does_not_fit(start_service: StartService) -> None:
    """The 400 is a context's, and names the prompt."""
    fields = {"prompt": "x" * 200, "echo": True, "logprobs": 1}
    response = start_service(max_model_len=64).http.post("/v1/completions", json=fields)
    assert (response.status_code, response.json()["error"]["code"]) == (400, "context_length_exceeded")
    assert response.json()["error"]["param"] == "prompt"
