"""Architectures that went wrong once, on tiny random checkpoints (tests/architectures): batches, configs, reasons."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from src.engine import main
from src.engine.backend import Backend, PictureReader
from src.engine.progress import LoadMeter
from src.errors import ExitCode, InvalidRequest, ModelLoadFailed
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


@pytest.mark.parametrize("name", ["glm_ocr", "mllama", "paligemma", "falcon_ocr", "granite4_vision"])
def test_pictures_alone_and_together(name: str, tmp_path: Path) -> None:
    """As `make test-architectures` compares them. A row of glm_ocr took the places of a prompt that came behind it; a
    row of mllama stood where the longest ended, and forgot its picture; one of paligemma saw the others' padding.
    falcon_ocr was told places in three directions, and had its prompts cut; of granite4_vision's layers one saw."""
    from tests.architectures.vision.examine import examine

    verdict = examine(name, tmp_path / name)
    assert (verdict.kind, verdict.why) == ("same", "")
    assert verdict.memory is not None
    assert verdict.memory <= 1


def test_a_processor_that_makes_nothing_of_pictures_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """transformers puts a tokenizer in the place of a processor that it cannot make: pictures went unseen."""
    from mlx_vlm.utils import prepare_inputs as made

    from src.engine.mlx import vlm
    from tests.architectures.vision.tiny import write

    monkeypatch.setattr(
        vlm, "prepare_inputs", lambda *given, **options: {"input_ids": made(*given, **options)["input_ids"]}
    )
    with pytest.raises(ModelLoadFailed, match="cannot read images: ValueError: PixtralProcessor makes nothing of"):
        load(str(write("pixtral", tmp_path / "pixtral")))


def test_a_processor_tells_pictures_nothing_of_texts() -> None:
    """transformers' image processors refuse how texts are padded, which LlavaProcessor hands to both."""
    from src.engine.mlx import vision_mends

    class LlavaProcessor:
        def image_processor(self, *images: str, size: int = 0) -> tuple[tuple[str, ...], int]:
            return images, size

    processor = vision_mends.of_processor(LlavaProcessor())
    assert processor.image_processor("x", padding=True, size=3) == (("x",), 3)


def test_the_table_of_crops_ends() -> None:
    """DeepSeek's models look beyond it; what stood there decided how many tiles of a picture they saw."""
    import mlx.core as mx

    from src.engine.mlx import vision_mends

    given = {"images_spatial_crop": mx.array([[[1, 1]]]), "pixel_values": mx.zeros((1, 3, 3, 8, 8))}
    crops: Any = vision_mends.of_inputs(given, 9, 0)["images_spatial_crop"].tolist()
    assert crops == [[[1, 1], [0, 0], [0, 0]]]


def test_inputs_of_a_prompt_reach_as_far_as_it() -> None:
    """A request that goes on after a crash has tokens behind its prompt: the masks of its pictures must have, too."""
    import mlx.core as mx

    from src.engine.mlx import vision_mends

    cross = mx.array([[[0], [1]]])
    given = {"token_type_ids": mx.array([[1, 1]]), "cross_attention_mask": cross, "pixel_values": mx.zeros((1, 2))}
    found = vision_mends.of_inputs(given, 2, 1)
    shown: Any = (found["token_type_ids"].tolist(), found["cross_attention_mask"].tolist())
    assert shown == ([[1, 1, 0]], [[[0], [1], [1]]])
    assert found["pixel_values"].shape == (1, 2)


@pytest.mark.parametrize("max_num_seqs", [1, 4])
def test_pictures_that_cannot_be_computed_are_found_at_load(
    max_num_seqs: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With and without a batch to check, in the library's own words; it was found at the first request."""
    from mlx_vlm.models.pixtral import Model

    from tests.architectures.vision.tiny import write

    seen = Model.get_input_embeddings

    def blind(self: Any, ids: Any, pixels: Any = None, **inputs: Any) -> Any:
        if pixels is not None:
            raise ValueError("57 places and 36 features")
        return seen(self, ids, pixels, **inputs)

    monkeypatch.setattr(Model, "get_input_embeddings", blind)
    folder = write("pixtral", tmp_path / "pixtral")
    with pytest.raises((ValueError, InvalidRequest)) as failed:
        main.warm_up(load(str(folder), max_num_seqs=max_num_seqs), LoadMeter())
    assert "ValueError: 57 places and 36 features" in main._verdict(failed.value, "pixtral").message


def test_pictures_that_a_model_cannot_compute_fail_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their request is refused, and the engine goes on."""
    from mlx_vlm.models.pixtral import Model

    from tests.architectures.vision.tiny import write

    backend = load(str(write("pixtral", tmp_path / "pixtral")))
    assert isinstance(backend, PictureReader)
    batch = Batch(backend)
    first, (prompt, media) = batch.insert([1, 2, 3], 4), backend.picture_sample()

    def broken(*_: Any, **__: Any) -> Any:
        raise ValueError("57 places and 36 features")

    monkeypatch.setattr(Model, "get_input_embeddings", broken)
    with pytest.raises(InvalidRequest, match="cannot compute these images"):
        backend.insert(prompt, 4, Sampling(temperature=0.0), media=media)
    assert len(batch.finish(first)[0].tokens) == 4
    backend.close()


def test_a_template_that_takes_texts_alone_shows_pictures(tmp_path: Path) -> None:
    """As Phi-3.5's and DeepSeek-VL2's do: the family's own mark stands in the text, and the processor finds it."""
    from tests.architectures.vision.tiny import write

    backend = load(str(write("molmo", tmp_path / "molmo")))
    assert isinstance(backend, PictureReader)
    prompt, media = backend.picture_sample()
    shown = backend.tokenizer.decode(prompt)
    assert "What is this?" in shown
    assert "<im_patch>" in shown
    assert "{'type'" not in shown
    assert media is not None
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
    told = Told()
    with pytest.raises(ValueError, match="ChunkedKVCache") as failed:
        tiny("llama4")
    server: Any = told
    assert main._unfit(failed.value, "llama4", server) == ExitCode.MODEL
    assert told.error is not None
    assert "ChunkedKVCache" in told.error.message


def test_a_vocabulary_that_is_written_beyond_is_refused() -> None:
    """phi3small masks fixed ids; in a crafted checkpoint with fewer they would be other memory."""
    import mlx.core as mx

    from src.engine.mlx.mends import check_written_ids

    model = SimpleNamespace(_dummy_tokenizer_ids=mx.array([5, 9]), args=SimpleNamespace(vocab_size=9))
    with pytest.raises(ModelLoadFailed, match="writes to id 9"):
        check_written_ids(model)
    model.args.vocab_size = 10
    check_written_ids(model)


class ScriptedRows:
    """Gives each prompt the same token in each step; its score may depend on how many rows there are."""

    def __init__(self, rows: int, score: Callable[[int], float]) -> None:
        self._rows, self._score = rows, score
        self._uids: list[int] = []

    def add(self, *_: Any) -> int:
        self._uids.append(len(self._uids))
        return self._uids[-1]

    def next(self) -> tuple[dict[int, int], list[Any]]:
        read = [(7, self._score(self._rows))]
        return {}, [SimpleNamespace(uid=uid, logprobs=SimpleNamespace(read=lambda: read)) for uid in self._uids]

    def close(self) -> None:
        pass


def _checked(score: Callable[[int], float]) -> str | None:
    from src.engine.mlx import batch_check

    make: Any = partial(ScriptedRows, score=score)
    return batch_check.problem("m", make, batch_check.text_probes(100), 0.01)


def _fails_from(rows: int) -> Callable[[int], float]:
    def score(count: int) -> float:
        if count >= rows:
            raise ValueError("shapes differ")
        return -1.0

    return score


def test_the_batch_check_tells_rows_that_agree_differ_and_fail() -> None:
    assert _checked(lambda _: -1.0) is None
    assert "log-probabilities by 0.500" in str(_checked(lambda rows: -1.0 if rows == 1 else -1.5))
    assert _checked(_fails_from(2)) == "a batch fails (shapes differ)"


def test_a_row_that_fails_alone_is_no_matter_of_batches() -> None:
    """Such a model cannot run at all: whoever loads it says so, in the architecture's words."""
    with pytest.raises(ValueError, match="shapes differ"):
        _checked(_fails_from(1))
