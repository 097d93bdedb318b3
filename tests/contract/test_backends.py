"""What every engine must do, whatever runs beneath: one suite over `fake`, `mlx`, and `mlx` with KV_BITS."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pytest

from src.engine import loading
from src.engine.backend import Backend, Step
from src.engine.progress import LoadMeter
from src.engine.revision import FilesChanged
from src.errors import ModelLoadFailed
from src.ipc.messages.chat import ChatMessage, FinishReason, Sampling
from src.settings import Settings

GREEDY = Sampling(temperature=0.0)
PREFILL_STEP = 32
MANY_STEPS = 500


@dataclass
class Made:
    """What came out for one sequence."""

    tokens: list[int] = field(default_factory=list)
    finish: FinishReason | None = None


class Batch:
    """A backend and what it has made so far, by uid."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.made: dict[int, Made] = {}

    def insert(self, prompt: list[int], max_tokens: int = 12, sampling: Sampling = GREEDY) -> int:
        uid = self.backend.insert(prompt, max_tokens, sampling)
        assert uid not in self.made
        self.made[uid] = Made()
        return uid

    def step(self) -> Step:
        step = self.backend.step()
        for token in step.tokens:
            made = self.made[token.uid]
            assert made.finish is None, "a token after the last one"
            made.tokens.append(token.token)
            made.finish = token.finish
        return step

    def finish(self, *uids: int) -> list[Made]:
        """Step until these have ended."""
        for _ in range(MANY_STEPS):
            if all(self.made[uid].finish for uid in uids):
                return [self.made[uid] for uid in uids]
            self.step()
        raise AssertionError("no end in sight")

    def step_until(self, uid: int, tokens: int) -> None:
        while len(self.made[uid].tokens) < tokens:
            self.step()


def load(model: str, **changes: Any) -> Backend:
    engine = "fake" if model == "demo" else "mlx"
    fields = {"inference_engine": engine, "prefill_step_size": PREFILL_STEP, "max_num_seqs": 16, **changes}
    return loading.load(model, Settings(_env_file=None, **fields), LoadMeter())


@pytest.fixture(scope="module", params=["fake", "mlx", "packed"])
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    """A loaded engine. Tests share it, as requests do."""
    model = "demo" if request.param == "fake" else str(request.getfixturevalue("random_model"))
    packed = {"kv_bits": "8", "kv_group_size": "32"} if request.param == "packed" else {}
    backend = load(model, **packed)
    yield backend
    backend.close()


@pytest.fixture
def batch(backend: Backend) -> Iterator[Batch]:
    """A batch; what a test leaves in it is removed, so that the next one starts with none."""
    batch = Batch(backend)
    yield batch
    backend.remove([uid for uid, made in batch.made.items() if made.finish is None])


def prompt(backend: Backend, text: str) -> list[int]:
    return backend.tokenizer.encode_chat([ChatMessage("user", text)])


def alone(backend: Backend, text: str, max_tokens: int = 12) -> list[int]:
    """The greedy answer to a text when nothing else runs."""
    batch = Batch(backend)
    return batch.finish(batch.insert(prompt(backend, text), max_tokens))[0].tokens


TEXTS = [f"number {n}: " + "tell me about rivers and mountains " * n for n in range(1, 9)]


def test_it_says_what_it_is(backend: Backend) -> None:
    """Name, model, context and device are known once it is loaded."""
    assert backend.name in ("fake", "mlx")
    assert backend.info.name
    assert backend.info.context_length >= 512
    assert backend.device.kind in ("metal", "cuda", "cpu", "none")


def test_inserting_computes_nothing(batch: Batch) -> None:
    """A new sequence costs nothing until the next step, and has a uid of its own."""
    uids = [batch.insert(prompt(batch.backend, "hello")) for _ in range(3)]
    assert len(set(uids)) == 3
    assert [made.tokens for made in batch.made.values()] == [[], [], []]


@pytest.mark.parametrize("max_tokens", [1, 2, 7])
def test_the_limit_is_exact(max_tokens: int, batch: Batch) -> None:
    """An answer takes as many tokens as it may, the last of them marked."""
    (made,) = batch.finish(batch.insert(prompt(batch.backend, "tell me about the sea"), max_tokens))
    assert (len(made.tokens), made.finish) == (max_tokens, "length")


def test_limits_are_each_sequences_own(batch: Batch) -> None:
    """Sequences computed together end when each of them has to."""
    limits = [3, 9, 5, 1]
    uids = [batch.insert(prompt(batch.backend, "tell me a story"), limit) for limit in limits]
    assert [len(made.tokens) for made in batch.finish(*uids)] == limits


def test_one_token_a_step(batch: Batch) -> None:
    """A running sequence gets exactly one token in each step; nobody is left out."""
    uids = [batch.insert(prompt(batch.backend, text), 30) for text in ("hello there", "good morning")]
    for uid in uids:
        batch.step_until(uid, 1)
    for _ in range(5):
        assert sorted(token.uid for token in batch.step().tokens) == sorted(uids)


def test_a_long_prompt_is_computed_in_chunks(batch: Batch) -> None:
    """While a long prompt is computed, the others get their tokens; what is left of it goes down to its first token."""
    runner = batch.insert(prompt(batch.backend, "hello there " * 10), 60)
    batch.step_until(runner, 1)
    long = prompt(batch.backend, "a long story about a river " * 20)
    assert len(long) > 3 * PREFILL_STEP
    uid = batch.insert(long)
    left, runner_tokens, steps = [len(long)], len(batch.made[runner].tokens), 0
    while not batch.made[uid].tokens:
        left.append(batch.step().prefill_left.get(uid, 0))
        steps += 1
    assert left == sorted(left, reverse=True)
    assert max(before - after for before, after in pairwise(left)) <= PREFILL_STEP
    assert len(batch.made[runner].tokens) - runner_tokens >= steps - 1


def test_a_short_prompt_overtakes_a_long_one(batch: Batch) -> None:
    """Both get on in each step; together, padding included, they take what one step may."""
    long = prompt(batch.backend, "overtaken: " + "a long story about a river " * 30)
    first = batch.insert(long)
    batch.step()
    short = batch.insert(long[:9])
    left = len(long) - PREFILL_STEP
    while not batch.made[short].tokens:
        now = batch.step().prefill_left[first]
        assert 0 < left - now <= PREFILL_STEP
        left = now
    assert left > PREFILL_STEP


def test_a_step_says_what_it_took(batch: Batch) -> None:
    """An engine that computes names the phases of its steps; now and then the forward pass and the sampling apart."""
    if batch.backend.name == "fake":
        return
    batch.insert(prompt(batch.backend, "how long does it take"), 60)
    times = [batch.step().times for _ in range(50)]
    assert "prefill" in times[0]
    assert all(step["decode"] > 0 for step in times[2:])
    (divided,) = {frozenset(step) - {"decode", "keep"} for step in times[2:]} - {frozenset()}
    assert divided == {"forward", "sample"}


def test_greedy_text_is_the_same_alone_and_in_a_batch(batch: Batch) -> None:
    """Who else is computed makes no difference to what a client gets."""
    expected = [alone(batch.backend, text) for text in TEXTS]
    together = batch.finish(*[batch.insert(prompt(batch.backend, text)) for text in TEXTS])
    assert [made.tokens for made in together] == expected


def test_removing_leaves_the_others_alone(batch: Batch) -> None:
    """Clients that leave in the middle change nothing for those who stay."""
    expected = [alone(batch.backend, text) for text in TEXTS]
    uids = [batch.insert(prompt(batch.backend, text)) for text in TEXTS]
    batch.step_until(uids[-1], 3)
    gone = [uids[0], uids[3], uids[4]]
    batch.backend.remove(gone)
    lengths = [len(batch.made[uid].tokens) for uid in gone]
    stayed = [at for at, uid in enumerate(uids) if uid not in gone]
    finished = batch.finish(*[uids[at] for at in stayed])
    assert [made.tokens for made in finished] == [expected[at] for at in stayed]
    assert [len(batch.made[uid].tokens) for uid in gone] == lengths
    for uid in gone:
        del batch.made[uid]


def test_joining_leaves_the_others_alone(batch: Batch) -> None:
    """A request that comes later changes nothing for those who run, and gets its own answer."""
    first = batch.insert(prompt(batch.backend, TEXTS[0]))
    batch.step_until(first, 4)
    second = batch.insert(prompt(batch.backend, TEXTS[5]))
    made = batch.finish(first, second)
    assert [m.tokens for m in made] == [alone(batch.backend, TEXTS[0]), alone(batch.backend, TEXTS[5])]


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_removing_during_prefill(steps: int, batch: Batch) -> None:
    """A client may leave before its first token, even before its prompt was looked at."""
    expected = alone(batch.backend, TEXTS[0])
    stays = batch.insert(prompt(batch.backend, TEXTS[0]))
    leaves = batch.insert(prompt(batch.backend, f"{steps}: " + "a long story about a river " * 20))
    for _ in range(steps):
        batch.step()
    batch.backend.remove([leaves])
    assert batch.finish(stays)[0].tokens == expected
    assert batch.made.pop(leaves).tokens == []


def test_a_new_start_after_everybody_left(batch: Batch) -> None:
    """An emptied batch takes the next request as if nothing had been."""
    expected = alone(batch.backend, TEXTS[1])
    uids = [batch.insert(prompt(batch.backend, text)) for text in TEXTS[:3]]
    batch.step_until(uids[0], 2)
    batch.backend.remove(uids)
    batch.made.clear()
    assert batch.finish(batch.insert(prompt(batch.backend, TEXTS[1])))[0].tokens == expected


def test_top_p_zero_is_greedy(batch: Batch) -> None:
    """OpenAI's top_p 0 means the likeliest token alone, whatever the temperature."""
    made = batch.finish(batch.insert(prompt(batch.backend, TEXTS[0]), 12, Sampling(temperature=2.0, top_p=0.0)))
    assert made[0].tokens == alone(batch.backend, TEXTS[0])


def test_memory(batch: Batch) -> None:
    """Readings are real numbers or None, never an invented 0."""
    batch.finish(batch.insert(prompt(batch.backend, "hello")))
    memory = batch.backend.memory()
    assert memory.rss_bytes > 1 << 20
    figures = (memory.mlx_active_bytes, memory.mlx_peak_bytes, memory.mlx_limit_bytes)
    assert all(figures) if batch.backend.name == "mlx" else figures == (None, None, None)


def test_an_end_mark_is_a_stop(backend: Backend, random_model: Path, tmp_path: Path) -> None:
    """The model's own end of the answer is finish reason `stop`, with the end mark as the last token."""
    if backend.name == "fake":
        batch = Batch(backend)
        (made,) = batch.finish(batch.insert(prompt(backend, "hello")))
        assert made.tokens[:-1] == list(b"hello")
    else:
        greedy = alone(backend, TEXTS[0])
        at = next(n for n in range(2, len(greedy)) if greedy[n] not in greedy[:n])
        batch = Batch(load(str(ends_with(greedy[at], random_model, tmp_path / "model"))))
        (made,) = batch.finish(batch.insert(prompt(batch.backend, TEXTS[0])))
        assert made.tokens == greedy[: at + 1]
        batch.backend.close()
    assert made.finish == "stop"


def ends_with(token: int, model: Path, copy: Path) -> Path:
    """The same model, but for its end mark."""
    shutil.copytree(model, copy)
    for name in ("config.json", "generation_config.json"):
        config = json.loads((copy / name).read_text())
        (copy / name).write_text(json.dumps(config | {"eos_token_id": [token]}))
    return copy


# ---- text

CHARACTERS = [
    "plain",
    "naïve café",
    "你好，世界",
    "👩‍👩‍👧‍👦🇩🇪🎉",
    "e\u0301 Z\u0351\u036b",
    "a\nb\tc  d",
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢",
    "x  ",
]


def text_tokens(backend: Backend, text: str) -> list[int]:
    """The tokens of a bare text."""
    if backend.name == "fake":
        return list(text.encode())
    wrapped = backend.tokenizer._wrapped  # type: ignore[attr-defined]  # only tests tokenise an answer
    return list(wrapped.encode(text, add_special_tokens=False))


@pytest.mark.parametrize("text", CHARACTERS)
def test_no_half_characters(text: str, backend: Backend) -> None:
    """Wherever an answer ends, each piece is whole characters, and together they are the text so far."""
    tokens = text_tokens(backend, text)
    for end in range(len(tokens) + 1):
        detokenizer = backend.tokenizer.detokenizer()
        pieces = [detokenizer.add(token) for token in tokens[:end]]
        shown = "".join(pieces) + detokenizer.flush()
        assert "\ufffd" not in shown
        assert text.startswith(shown)
        assert shown == text or end < len(tokens)


def test_a_text_that_goes_on_keeps_its_first_space(backend: Backend) -> None:
    """It parts the last word of what is there from the next; a new text begins without it."""
    for text in (" world again", "  two", "none"):
        detokenizer = backend.tokenizer.detokenizer(continues=True)
        assert "".join(map(detokenizer.add, text_tokens(backend, text))) + detokenizer.flush() == text
    detokenizer = backend.tokenizer.detokenizer()
    begun = "".join(map(detokenizer.add, text_tokens(backend, " world again"))) + detokenizer.flush()
    assert begun == " world again"[backend.name != "fake" :]


def test_detokenizers_do_not_share(backend: Backend) -> None:
    """Answers that are decoded in turns do not mix."""
    left, right = text_tokens(backend, CHARACTERS[2]), text_tokens(backend, CHARACTERS[3])
    first, second = backend.tokenizer.detokenizer(), backend.tokenizer.detokenizer()
    shown = ["", ""]
    for at in range(max(len(left), len(right))):
        shown[0] += first.add(left[at]) if at < len(left) else ""
        shown[1] += second.add(right[at]) if at < len(right) else ""
    assert [shown[0] + first.flush(), shown[1] + second.flush()] == CHARACTERS[2:4]


def test_any_tokens_can_be_shown(backend: Backend) -> None:
    """A model may say anything: no sequence of tokens breaks the detokenizer."""
    tokens, chance = text_tokens(backend, "".join(CHARACTERS)), random.Random(1)
    for _ in range(20):
        detokenizer = backend.tokenizer.detokenizer()
        pieces = [detokenizer.add(token) for token in chance.choices(tokens, k=30)]
        assert all(isinstance(piece, str) for piece in [*pieces, detokenizer.flush()])


def test_the_conversation_matters(backend: Backend) -> None:
    """Roles and turns all reach the prompt."""
    turns = [ChatMessage("system", "be brief"), ChatMessage("user", "hello")]
    swapped = [ChatMessage("user", "be brief"), ChatMessage("user", "hello")]
    encode = backend.tokenizer.encode_chat
    assert encode(turns) == encode(turns)
    assert len({tuple(encode(t)) for t in (turns, swapped, turns[1:])}) == 3


def test_a_model_without_room_is_refused_before_its_load(random_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the numbers: for good when this machine is too small, for now when others hold its memory."""
    memory = psutil.virtual_memory()
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory._replace(available=1000))
    with pytest.raises(MemoryError, match=r"needs \d+ MB for its weights; 0 MB of memory are free"):
        load(str(random_model))
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory._replace(total=1000, available=1000))
    with pytest.raises(ModelLoadFailed, match=r"needs \d+ MB for its weights; this machine has 0 MB"):
        load(str(random_model))


# ---- files that change


class Replacing(LoadMeter):
    """Another revision takes the model's place while its weights are read."""

    def __init__(self, folder: Path, change: Callable[[Path], None]) -> None:
        super().__init__()
        self._folder = folder
        self._change = change

    def begin(self, total_bytes: int) -> None:
        super().begin(total_bytes)
        self._change(self._folder)


def newer(folder: Path) -> None:
    file = folder / "model.safetensors"
    os.utime(file, ns=(0, file.stat().st_mtime_ns + 1))


def halfway(folder: Path) -> None:
    (folder / "tokenizer.json").write_text("{")


@pytest.mark.parametrize("change", [newer, halfway])
def test_files_that_are_replaced_while_they_are_read(
    change: Callable[[Path], None], random_model: Path, tmp_path: Path
) -> None:
    """What was read may be of two revisions: it is not served, and the next try reads one of them whole."""
    folder = Path(shutil.copytree(random_model, tmp_path / "model"))
    settings = Settings(_env_file=None, inference_engine="mlx")
    with pytest.raises(FilesChanged):
        loading.load(str(folder), settings, Replacing(folder, change))


def test_what_comes_back_to_the_device_is_what_was_there(random_model: Path, tmp_path: Path) -> None:
    """For other weights in their place the process ends: its requests and its health tell of the old ones."""
    folder = Path(shutil.copytree(random_model, tmp_path / "model"))
    backend = loading.load(str(folder), Settings(_env_file=None, inference_engine="mlx"), LoadMeter())
    backend.to_host()
    backend.to_device()
    backend.to_host()
    newer(folder)
    with pytest.raises(FilesChanged):
        backend.to_device()
