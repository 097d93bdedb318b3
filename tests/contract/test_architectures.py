"""Architectures that went wrong once, on tiny random checkpoints (tests/architectures): batches, configs, reasons."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from src.engine import main
from src.engine.backend import Backend
from src.engine.progress import LoadMeter
from src.errors import ExitCode, ModelLoadFailed
from src.ipc.messages.chat import Sampling
from tests.contract.test_backends import Batch, Made, load

Loaded = Callable[[str], Backend]


@pytest.fixture
def tiny(random_model: Path, tmp_path: Path) -> Loaded:
    from tests.architectures.tiny import write

    return lambda name: load(str(write(name, tmp_path / name, random_model)))


def test_a_batch_of_gemma2_gives_what_its_rows_give_alone(tiny: Loaded) -> None:
    """Its capped attention met the rows' mask shifted: a row was masked by its neighbour."""
    backend = tiny("gemma2")
    try:
        assert backend.info.batches
        prompts = [list(range(1, 9)), [4, 5, 6], list(range(2, 40))]
        scored = [_scores(backend, [prompt])[0] for prompt in prompts]
        for alone, together in zip(scored, _scores(backend, prompts), strict=True):
            assert together == pytest.approx(alone, abs=1e-3)
    finally:
        backend.close()


def _scores(backend: Backend, prompts: list[list[int]]) -> list[list[float]]:
    uids = [backend.insert(prompt, 6, Sampling(temperature=0.0, logprobs=0), salt=str(prompts)) for prompt in prompts]
    found: dict[int, list[float]] = {uid: [] for uid in uids}
    batch = Batch(backend)
    batch.made = {uid: Made() for uid in uids}
    for _ in range(40):
        for token in batch.step().tokens:
            assert token.logprob is not None
            found[token.uid].append(token.logprob.chosen.logprob)
    return list(found.values())


def test_a_batch_that_is_wrong_is_found(tiny: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    """As mlx-lm computes gemma2: its requests are computed one at a time, each as it is alone."""
    monkeypatch.setattr("src.engine.mlx.weights.mend", lambda model: model)
    backend = tiny("gemma2")
    try:
        assert not backend.info.batches
        assert backend.info.batch_problem is not None
        batch = Batch(backend)
        first, second = batch.insert([1, 2, 3], 4), batch.insert(list(range(1, 12)), 4)
        assert [len(made.tokens) for made in batch.finish(first, second)] == [4, 4]
    finally:
        backend.close()


def test_a_cache_that_knows_no_batches(tiny: Loaded) -> None:
    """Llama 4's chunks: its rows keep caches of their own, one at a time. It crashed while it warmed up."""
    backend = tiny("llama4")
    try:
        assert "holds one row" in str(backend.info.batch_problem)
        batch = Batch(backend)
        ends = [batch.finish(batch.insert(list(range(1, 30)), 4))[0].tokens for _ in range(2)]
        assert ends[0] == ends[1], "the second begins from the prefix cache"
    finally:
        backend.close()


@pytest.mark.parametrize("name", ["exaone4", "dots1", "granitemoehybrid"])
def test_a_config_that_transformers_refuses(name: str, tiny: Loaded) -> None:
    """mlx-lm reads it, and the tokenizer's own files are enough."""
    backend = tiny(name)
    try:
        assert (backend.info.family, backend.info.batches) == ("hermes", True)
        batch = Batch(backend)
        assert batch.finish(batch.insert([1, 2, 3], 4))[0].tokens
    finally:
        backend.close()


class Told:
    """Takes what an engine's server is told."""

    error: ModelLoadFailed | None = None

    def failed(self, error: ModelLoadFailed, linger_s: float) -> None:
        del linger_s
        self.error = error


def test_what_cannot_run_says_why_once(tiny: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    """As llama4 without its mend, whose cache takes no part in mlx-lm's batches: a configuration error with its words,
    and no retry."""
    monkeypatch.setattr("src.engine.mlx.mends._serve_alone", lambda model: None)
    backend, told = tiny("llama4"), Told()
    with pytest.raises(ValueError, match="ChunkedKVCache") as failed:
        main.warm_up(backend, LoadMeter())
    server: Any = told
    assert main._unfit(failed.value, "llama4", server) == ExitCode.MODEL
    assert told.error is not None
    assert "ChunkedKVCache" in told.error.message
    backend.close()


def test_a_vocabulary_that_is_written_beyond_is_refused() -> None:
    """phi3small masks fixed ids; in a crafted checkpoint with fewer they would be other memory."""
    import mlx.core as mx

    from src.engine.mlx.mends import check_written_ids

    model = SimpleNamespace(_dummy_tokenizer_ids=mx.array([5, 9]), args=SimpleNamespace(vocab_size=9))
    with pytest.raises(ModelLoadFailed, match="writes to id 9"):
        check_written_ids(model)
    model.args.vocab_size = 10
    check_written_ids(model)
