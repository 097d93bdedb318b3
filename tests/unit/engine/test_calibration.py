"""What an engine measured is there for its next start, and no file can harm it."""

from __future__ import annotations

from pathlib import Path

import pytest

from src.engine.backend import Step, Token
from src.engine.calibration import Calibration, CalibrationStore, calibrate
from src.engine.step_cost import StepCost
from src.ipc.messages.chat import Sampling
from src.ipc.messages.status import ModelInfo


def stored(folder: Path) -> CalibrationStore:
    store = CalibrationStore(folder)
    store.open("model")
    return store


def measured(cost: StepCost) -> StepCost:
    for tokens in (16, 64, 256):
        cost.add(tokens, 0, 0.01 + tokens / 1000)
    for _ in range(16):
        cost.add_decode(2, 0.02)
    return cost


def written(store: CalibrationStore) -> None:
    store.keep_soon()
    assert store._writing is not None
    store._writing.join(5)


def test_the_next_start_knows_what_steps_cost(tmp_path: Path) -> None:
    """Chunks and decode steps as they were measured; and that rows may be computed together."""
    first = stored(tmp_path)
    assert first.cost.seconds(2, 64, 0) is None
    measured(first.cost)
    first.keep_batches()
    written(first)
    second = stored(tmp_path)
    assert second.calibration.batches
    assert second.cost.seconds(2, 64, 0) == first.cost.seconds(2, 64, 0)
    assert second.cost.seconds(2, 64, 0) == pytest.approx(0.094, rel=0.2)


def test_another_models_costs_are_not_taken(tmp_path: Path) -> None:
    """Each has a file; of many, the latest stay."""
    written(stored(tmp_path))
    for number in range(70):
        store = CalibrationStore(tmp_path)
        store.open(f"other-{number}")
        assert not store.calibration.batches
        store.keep_batches()
    assert len(list(tmp_path.iterdir())) == 64


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not json",
        b"{}",
        b'{"batches": "yes"}',
        b'{"chunks": [[16, 0, -1.0]]}',
        b'{"chunks": [[0, 0, 1.0]]}',
        b'{"decodes": [[1, 1e999]]}',
        b'{"chunks": [[16, 0]]}',
        b'{"decodes": [' + b",".join([b"[1, 0.1]"] * 300) + b"]}",
    ],
)
def test_a_damaged_file_is_as_none(content: bytes, tmp_path: Path) -> None:
    """It is measured again, and written over."""
    (tmp_path / "model.json").write_bytes(content)
    store = stored(tmp_path)
    assert store.calibration == Calibration()
    measured(store.cost)
    written(store)
    assert len(stored(tmp_path).calibration.chunks) == 3


def test_where_nothing_can_be_written_nothing_is_kept(tmp_path: Path) -> None:
    """A full disk, a folder of somebody else: the engine goes on."""
    (tmp_path / "file").write_text("")
    store = CalibrationStore(tmp_path / "file" / "calibration")
    store.open("model")
    store.keep_batches()
    assert store.calibration.batches


class _Slow:
    """A backend whose prompt tokens take `token_s` each."""

    info = ModelInfo("m", 8192)

    def __init__(self, token_s: float) -> None:
        self._token_s = token_s
        self.prompts: list[list[int]] = []
        self.trimmed = 0
        self._left = 0

    def insert(self, prompt: list[int], max_tokens: int, sampling: Sampling) -> int:
        self.prompts.append(prompt)
        self._left, self._computed = max_tokens, False
        return 1

    def step(self) -> Step:
        times = {} if self._computed else {"prefill": self._token_s * len(self.prompts[-1])}
        self._computed = True
        self._left -= 1
        return Step([Token(1, 5, "length" if not self._left else None)], times=times)

    def trim(self) -> None:
        self.trimmed += 1


@pytest.mark.parametrize(("token_s", "sizes"), [(1e-5, [16, 64, 256, 1024]), (1e-3, [16, 64, 256]), (0.1, [16])])
def test_calibration_takes_little_time(token_s: float, sizes: list[int]) -> None:
    """Larger chunks only where they are quick; none begins as another, so that no cache shortens it."""
    backend, cost = _Slow(token_s), StepCost()
    calibrate(backend, cost, 2048)  # type: ignore[arg-type]
    assert [len(prompt) - 1 for prompt in backend.prompts] == sizes
    assert len({prompt[0] for prompt in backend.prompts}) == len(sizes)
    assert [chunk.tokens for chunk in cost.chunks] == sizes
    assert backend.trimmed == 1
    calibrate(backend, cost, 2048)  # type: ignore[arg-type]
    assert len(backend.prompts) == len(sizes)  # a model that was measured is not measured again


def test_what_generates_nothing_is_not_calibrated() -> None:
    """An embedding model has no steps, however long its context."""
    backend = _Slow(0.1)
    backend.info = ModelInfo("m", 8192, kind="embedding")
    calibrate(backend, StepCost(), 512)  # type: ignore[arg-type]
    assert backend.prompts == []
