"""The prefix cache's disk over a tiny model: a fresh engine goes on where the last one was, with the same text."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from src.gpu import blas

blas.preload()  # before anything imports MLX

import mlx.core as mx  # noqa: E402

from src.engine.mlx.packed import Packing  # noqa: E402
from src.engine.mlx.prefix import blocks, disk  # noqa: E402
from src.engine.mlx.prefix.blockfile import BLOCK, Array, names, unpack  # noqa: E402
from src.engine.mlx.prefix.disk import Disk  # noqa: E402
from src.ipc.messages.status import PrefixReading  # noqa: E402
from tests.contract.test_prefix import (  # noqa: E402
    LENGTH,
    LIMIT,
    SYSTEM,
    Engine,
    alone,
    every_token,
    speaking,
    tokens,
    windows,
)

WAIT_S = 10.0
MODEL = "0" * 32
LONG = tokens(5 * BLOCK + 9, 77)


@pytest.fixture(scope="module")
def model() -> Any:
    return speaking(every_token)


@contextmanager
def engine(model: Any, folder: Path, limit: int = LIMIT) -> Iterator[Engine]:
    """One life of an engine over the folder; its end waits for nothing but what is on its way."""
    with closing(Disk(folder, MODEL, 64 << 20)) as disk:
        yield Engine(model, limit, disk=disk)
        assert disk.flush(WAIT_S)


def fetched(from_: Engine, prompt: list[int], salt: str = "", seconds: float = 0.0) -> int:
    """Read back as the scheduler does; how many tokens that was."""
    before = reading(from_).disk_tokens
    while from_.prefixes.load_prefix(salt, prompt, seconds):
        pass
    return reading(from_).disk_tokens - before


@contextmanager
def counted_reads() -> Iterator[list[str]]:
    """The blocks that are read meanwhile."""
    reads: list[str] = []

    def read(name: str, file: bytes) -> dict[str, Array]:
        reads.append(name)
        return unpack(name, file)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(disk, "unpack", read)
        yield reads


def reading(of: Engine) -> PrefixReading:
    found = of.prefixes.reading()
    assert found is not None
    return found


def test_a_fresh_engine_computes_nothing_again(model: Any, tmp_path: Path) -> None:
    """But what ends within a block. The text is that of an engine that keeps nothing."""
    (expected,) = alone(model, LONG)
    with engine(model, tmp_path) as first:
        assert first.answers(LONG) == [expected]
    with engine(model, tmp_path) as second:
        assert fetched(second, LONG) == 5 * BLOCK
        assert second.prefixes.cached_prefix_length("", LONG) == 5 * BLOCK
        assert second.answers(LONG) == [expected]
        assert second.saved == 5 * BLOCK
        assert reading(second).disk_bytes > 0


def test_a_conversation_goes_on_with_the_answer(model: Any, tmp_path: Path) -> None:
    """What was answered is on disk, too, and prompts that share a beginning share its files."""
    said = LONG
    for turn in range(4):
        with engine(model, tmp_path) as one:
            known = fetched(one, said)
            assert (known > len(said) - BLOCK - 30) == (turn > 0)
            (answer,) = one.answers(said)
            assert [answer] == alone(model, said)
            said = said + answer + tokens(20, turn)
    with engine(model, tmp_path) as last:
        assert fetched(last, SYSTEM + LONG) == 0
        assert fetched(last, LONG[: 2 * BLOCK] + tokens(90, 5)) == 2 * BLOCK


def test_what_memory_has_forgotten_the_disk_has(model: Any, tmp_path: Path) -> None:
    """A memory that holds one prompt, and two of them by turns: each is read back, none is computed twice."""
    prompts = [tokens(5 * BLOCK + 9, seed) for seed in (1, 2)]
    expected = alone(model, *prompts)
    with engine(model, tmp_path, limit=250_000) as small:
        for turn in range(3):
            for prompt, text in zip(prompts, expected, strict=True):
                assert (fetched(small, prompt) > 0) == (turn > 0)
                assert small.prefixes.cached_prefix_length("", prompt) == (5 * BLOCK if turn else 0)
                assert small.answers(prompt) == [text]


def test_prompts_that_part_within_a_block(model: Any, tmp_path: Path) -> None:
    """What memory knows ends anywhere; what is read begins at a block."""
    other = LONG[: 2 * BLOCK + 20] + tokens(3 * BLOCK, 9)
    with engine(model, tmp_path) as first:
        first.answers(LONG)
        first.answers(other)
    with engine(model, tmp_path) as second:
        second.answers(other[: 2 * BLOCK + 30])
        assert fetched(second, LONG) == 3 * BLOCK - 20
        assert fetched(second, other) > 0
        assert second.answers(LONG, other) == alone(model, LONG, other)


def test_one_key_gets_nothing_of_anothers(model: Any, tmp_path: Path) -> None:
    with engine(model, tmp_path) as first:
        first.answers(LONG, salt="alice")
    with engine(model, tmp_path) as second:
        assert (fetched(second, LONG, "bob"), fetched(second, LONG)) == (0, 0)
        assert fetched(second, LONG, "alice") == 5 * BLOCK


def test_damage_is_computed_again(model: Any, tmp_path: Path) -> None:
    """A block that was changed in the middle: what comes before is used, what comes after is written anew with it."""
    with engine(model, tmp_path) as first:
        first.answers(LONG)
    third = tmp_path / MODEL / list(names("", LONG))[2]
    content = bytearray(third.read_bytes())
    content[len(content) // 2] ^= 1
    third.write_bytes(content)
    with engine(model, tmp_path) as second:
        assert fetched(second, LONG) == 2 * BLOCK
        assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 2
        assert second.answers(LONG) == alone(model, LONG)
    with engine(model, tmp_path) as again:
        assert fetched(again, LONG) == 5 * BLOCK


def test_reading_takes_turns(model: Any, tmp_path: Path) -> None:
    """With no time at all, each turn brings one block and says that there may be more."""
    with engine(model, tmp_path) as first:
        first.answers(LONG)
    with engine(model, tmp_path) as second:
        known = []
        while second.prefixes.load_prefix("", LONG, 0.0):
            known.append(second.prefixes.cached_prefix_length("", LONG))
        assert known == [BLOCK * n for n in range(1, 6)]


def test_a_memory_too_small_for_what_is_read(model: Any, tmp_path: Path) -> None:
    """It is not asked for ever again."""
    with engine(model, tmp_path) as first:
        first.answers(LONG)
    with engine(model, tmp_path, limit=20_000) as tiny:
        assert fetched(tiny, LONG) == 0
        assert tiny.answers(LONG) == alone(model, LONG)


def test_what_memory_cannot_hold_is_not_read_at_every_turn(model: Any, tmp_path: Path) -> None:
    """A prompt that waits is looked up each turn: then a block is read, not all that there is time for."""
    with engine(model, tmp_path) as first:
        first.answers(LONG)
        size = reading(first).bytes * BLOCK // (len(LONG) + LENGTH - 1)
    with engine(model, tmp_path, limit=2 * size + 99) as tight, counted_reads() as reads:
        assert fetched(tight, LONG, seconds=WAIT_S) == 2 * BLOCK
        reads.clear()
        assert not tight.prefixes.load_prefix("", LONG, WAIT_S)
        assert len(reads) == 1
        assert tight.answers(LONG) == alone(model, LONG)


def test_layers_with_a_state_keep_nothing_on_disk(tmp_path: Path) -> None:
    """Said in the log; their prefix cache in memory is as it was."""
    before = threading.active_count()
    one = Engine(speaking(windows), disk=Disk(tmp_path, MODEL, 64 << 20))
    one.answers(LONG)
    assert not one.prefixes.load_prefix("", LONG, 1.0)
    assert not any(path.is_file() for path in tmp_path.rglob("*"))
    assert threading.active_count() == before


@pytest.mark.parametrize("dtype", [mx.float32, mx.float16, mx.bfloat16])
def test_arrays_come_back_as_they_were(dtype: mx.Dtype) -> None:
    """To the bit, whatever their type and width, cut from spans that end anywhere."""
    mx.random.seed(1)
    plain = mx.random.normal((1, 2, 3 * BLOCK, 8)).astype(dtype)
    words = mx.random.randint(0, 1 << 30, (1, 2, 3 * BLOCK, 4)).astype(mx.uint32)
    layers = [(plain, words), (words, plain[..., :0])]
    cut = blocks.between([(layers, BLOCK + 3), (layers, 2 * BLOCK)], 10, BLOCK + 30)
    assert cut is not None
    back = blocks.from_bytes(blocks.to_bytes(cut))
    for made, given in zip(back, layers, strict=True):
        for array, of in zip(made, given, strict=True):
            assert array.dtype == of.dtype
            assert mx.array_equal(array, mx.concatenate([of[..., 10 : BLOCK + 3, :], of[..., :27, :]], axis=-2))
    assert blocks.between([(layers, 5)], 0, 6) is None


def test_packed_keys_and_values(tmp_path: Path) -> None:
    """With KV_BITS a layer is three caches, each with its files' arrays."""
    packed = speaking(lambda: every_token(head_dim=32))
    Packing(8, 32).apply(packed)
    expected = alone(packed, LONG)
    with engine(packed, tmp_path) as first:
        assert first.answers(LONG) == expected
    with engine(packed, tmp_path) as second:
        assert fetched(second, LONG) == 5 * BLOCK
        assert second.answers(LONG) == expected
