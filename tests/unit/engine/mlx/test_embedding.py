"""Requests for vectors in the scheduler: what goes into one pass, whose turn it is, how each comes to its one end."""

from __future__ import annotations

import weakref
from collections.abc import Sequence as Seq

import numpy as np
import pytest
from numpy.typing import NDArray

from src.engine.deadlines import Budget
from src.engine.embedding import Embedding, packed
from src.engine.sequence import Status
from src.ipc.messages.base import Failed, Priority
from src.ipc.messages.chat import Embedded, EmbedRequest, Finished, RawPrompt
from tests.unit.engine.test_scheduler import Bench


class ScriptedPass:
    """A text's vector is its length and a 1."""

    def __init__(self, texts: Seq[Seq[int]], computed: list[int]) -> None:
        self._texts = texts
        self._computed = computed
        self.left = max(map(len, texts))

    def compute(self, columns: int) -> None:
        columns = min(columns, self.left)
        self._computed.append(columns * len(self._texts))
        self.left -= columns

    def vectors(self) -> NDArray[np.float32]:
        return np.array([[len(text), 1.0] for text in self._texts], np.float32)


class ScriptedEmbedder:
    size = 2

    def __init__(self) -> None:
        self.passes: list[list[int]] = []
        self.computed: list[int] = []  # rows × columns of each step

    def begin(self, texts: Seq[Seq[int]]) -> ScriptedPass:
        self.passes.append([len(text) for text in texts])
        self.last = ScriptedPass(texts, self.computed)
        return self.last


class EmbedBench(Bench):
    """A scheduler whose backend makes vectors."""

    def __init__(self, step_size: int = 10, pause_s: float = 0.0) -> None:
        self.embedder = ScriptedEmbedder()
        super().__init__(step_size=step_size, embedder=self.embedder, chunk=step_size, pause_s=pause_s)

    def embed(
        self, *lengths: int, priority: Priority = "normal", queue_s: float = 50, total_s: float = 50
    ) -> Embedding:
        request = EmbedRequest("e", "m", (RawPrompt("x"),) * len(lengths), priority=priority)
        job = Embedding(request, [[1] * length for length in lengths], self.now, Budget(queue_s, total_s, None))
        self.scheduler.submit(job)
        return job


def lengths(bench: EmbedBench, job: Embedding) -> dict[int, float]:
    """By text, what its vector says its length was."""
    found = {}
    for event in bench.of(job):
        if isinstance(event, Embedded):
            first, second = np.frombuffer(event.vector, "<f4")
            found[event.index] = float(first / second)
    return found


def test_what_fits_goes_together() -> None:
    """Short texts share a pass, as long as rows × longest is within a step; each vector goes to its text."""
    bench = EmbedBench()
    job = bench.embed(4, 2, 9, 3, 2)
    bench.turns(6)
    assert bench.embedder.passes == [[2, 2, 3], [4], [9]]
    assert lengths(bench, job) == pytest.approx({0: 4, 1: 2, 2: 9, 3: 3, 4: 2})
    *_, last = bench.of(job)
    assert isinstance(last, Finished)
    assert (last.usage.prompt_tokens, last.usage.completion_tokens) == (20, 0)


def test_requests_share_a_pass() -> None:
    """Several clients with a text each are computed together, by priority and arrival."""
    bench = EmbedBench()
    jobs = [bench.embed(4, priority="low"), bench.embed(4), bench.embed(4, priority="high")]
    bench.turns(1)
    assert [bool(bench.of(job)) for job in jobs] == [False, True, True]
    bench.turns(1)
    assert all(isinstance(bench.of(job)[-1], Finished) for job in jobs)


def test_a_long_text_takes_several_turns() -> None:
    """No turn computes more than a step."""
    bench = EmbedBench()
    job = bench.embed(35)
    bench.turns(4)
    assert bench.embedder.computed == [10, 10, 10, 5]
    assert lengths(bench, job) == pytest.approx({0: 35})


def test_prompts_and_embeddings_take_turns() -> None:
    """A turn computes a prompt or embeddings, never both; neither waits for the other's end; streams go on."""
    bench = EmbedBench()
    stream = bench.submit(max_tokens=100, prompt=5)
    bench.turns(2)
    job = bench.embed(*[10] * 8)
    prompts = [bench.submit(prompt=10, max_tokens=1) for _ in range(3)]
    for _ in range(20):
        before, tokens = len(bench.embedder.computed), stream.completion_tokens
        bench.turns(1)
        prefilling = any(sequence.status is Status.PREFILL for sequence in prompts)
        assert not (prefilling and len(bench.embedder.computed) > before)
        assert stream.completion_tokens == tokens + 1
    ends = [at for at, (work, event) in enumerate(bench.events) if isinstance(event, Finished)]
    first_prompt = next(at for at, (work, event) in enumerate(bench.events) if work is prompts[0])
    assert isinstance(bench.of(job)[-1], Finished)
    assert all(isinstance(bench.of(prompt)[-1], Finished) for prompt in prompts)
    assert first_prompt < max(ends)


def test_who_left_is_not_computed() -> None:
    """A client that goes takes its texts with it, those of a pass under way too; the others' come."""
    bench = EmbedBench()
    gone, stays = bench.embed(35), bench.embed(5)
    bench.turns(1)
    bench.scheduler.cancel(gone)
    bench.turns(2)
    assert bench.of(gone) == []
    assert isinstance(bench.of(stays)[-1], Finished)
    assert bench.embedder.computed == [10, 5]
    assert bench.scheduler.load().running + bench.scheduler.load().waiting == 0


def test_a_pass_that_nobody_waits_for_is_let_go() -> None:
    """It holds keys and values, and the model: both may have to leave the device now."""
    bench = EmbedBench()
    gone = bench.embed(35)
    bench.turns(1)
    pass_ = weakref.ref(bench.embedder.last)
    del bench.embedder.last
    bench.scheduler.cancel(gone)
    bench.turns(1)
    assert pass_() is None


def test_streams_wait_no_longer_than_for_a_prompt() -> None:
    """While answers are written, a step takes as little of embeddings as it takes of prompts."""
    bench = EmbedBench(step_size=100, pause_s=0.2)
    for tokens in (10, 50, 100) * 4:
        bench.scheduler.cost.add(tokens, 0, 0.008 * tokens)
    stream = bench.submit(max_tokens=100, prompt=5)
    bench.turns(3)
    assert stream.status is Status.DECODE
    bench.embed(100)
    bench.turns(2)
    assert all(20 <= tokens <= 30 for tokens in bench.embedder.computed)
    assert len(bench.embedder.computed) == 2


def test_budgets() -> None:
    """Too late in the queue or at work: one failure, and nothing more of it."""
    bench = EmbedBench()
    slow, waits = bench.embed(1000, total_s=3), bench.embed(5, queue_s=2)
    bench.turns(8)
    for job in (slow, waits):
        (failed,) = bench.of(job)
        assert isinstance(failed, Failed)
        assert failed.code == "deadline_exceeded"
    assert len(bench.embedder.computed) == 3


def test_load_counts_them() -> None:
    """A hang in a pass must show: there is work, and the turn's age."""
    bench = EmbedBench()
    bench.embed(100)
    bench.turns(1)
    bench.now += 7
    load = bench.scheduler.load()
    assert (load.running, load.waiting, load.step_age_s) == (1, 0, 7)


def test_a_vector_that_is_none() -> None:
    """What overflowed is an error, never a null in somebody's index."""
    assert packed(np.array([np.nan, 1], np.float32), None) is None
    assert packed(np.array([np.inf, 1], np.float32), None) is None
    assert packed(np.zeros(3, np.float32), None) == bytes(12)
    assert np.frombuffer(packed(np.array([3, 4, 5], np.float32), 2) or b"", "<f4") == pytest.approx([0.6, 0.8])
