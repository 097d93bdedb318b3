"""CPU_KERNELS=int8 on tiny quantised checkpoints: near fp32, and the same bits whatever is computed beside a row."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from loguru import logger

from src.ipc.messages.chat import Sampling
from tests.contract.test_backends import Batch, load
from tests.contract.test_quantisations import parameters, quantised

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="MLX's own kernels are the right ones there")

TAKEN = [(bits, group) for bits in (4, 8) for group in (32, 64, 128)]
PROMPTS = [list(range(1, 40)), [7, 8, 9], list(range(90, 20, -3))]


@pytest.fixture(scope="module")
def plain(random_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.architectures.tiny import write

    sizes = {"hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2, "head_dim": 32}
    return write("llama", tmp_path_factory.mktemp("plain") / "llama", random_model, **sizes)


def form(bits: int, group: int) -> dict[str, Any]:
    return {"group_size": group, "bits": bits, "mode": "affine"}


@pytest.fixture
def said() -> Iterator[list[str]]:
    lines: list[str] = []
    sink = logger.add(lambda message: lines.append(str(message)), level="WARNING")
    yield lines
    logger.remove(sink)


def read(model: str, kernels: str) -> Any:
    from src.engine.mlx.weights import CpuPolicy, read_model
    from src.engine.progress import LoadMeter

    return read_model(Path(model), CpuPolicy("always", kernels), LoadMeter())[0]


def logits(module: Any, rows: Sequence[Sequence[int]], chunk: int = 999) -> Any:
    """Of the last token of each row, padded on the left, in chunks."""
    import mlx.core as mx
    import numpy as np
    from mlx_lm.models.cache import BatchKVCache

    widest = max(map(len, rows))
    padding = [widest - len(row) for row in rows]
    cache = [BatchKVCache(padding) for _ in module.layers]
    tokens = np.array([[0] * pad + list(row) for pad, row in zip(padding, rows, strict=True)])
    for begin in range(0, widest, chunk):
        found = module(mx.array(tokens[:, begin : begin + chunk]), cache=cache)[:, -1]
        mx.eval(found)
    return np.array(found)


def relative_error(model: str) -> float:
    import numpy as np

    wanted, found = (logits(read(model, kernels), PROMPTS[:1]) for kernels in ("fp32", "int8"))
    return float(np.linalg.norm(found - wanted) / np.linalg.norm(wanted))


@pytest.mark.parametrize(("bits", "group"), TAKEN)
def test_logits_are_near_those_of_fp32(bits: int, group: int, plain: Path, tmp_path: Path) -> None:
    assert 0 < relative_error(quantised(plain, tmp_path / "model", form(bits, group))) < 0.03


@pytest.mark.parametrize(("bits", "group"), [(4, 32), (8, 64), (4, 128)])
def test_a_row_has_the_same_bits_in_any_company_and_in_any_chunks(
    bits: int, group: int, plain: Path, tmp_path: Path
) -> None:
    module = read(quantised(plain, tmp_path / "model", form(bits, group)), "int8")
    alone = [logits(module, [prompt])[0] for prompt in PROMPTS]
    together = logits(module, PROMPTS)
    chunked = logits(module, PROMPTS, chunk=5)
    single = logits(module, PROMPTS[:1], chunk=1)
    assert [row.tobytes() for row in together] == [row.tobytes() for row in alone]
    assert [row.tobytes() for row in chunked] == [row.tobytes() for row in alone]
    assert single[0].tobytes() == alone[0].tobytes()


def test_memory_and_parameters_are_counted_outside_mlx_too(plain: Path, tmp_path: Path) -> None:
    model = quantised(plain, tmp_path / "model", form(4, 32))
    wide, packed = load(model, cpu_kernels="fp32"), load(model, cpu_kernels="int8")
    assert parameters(packed) == parameters(wide)
    assert wide.info.weight_bytes is not None
    assert packed.info.weight_bytes is not None
    assert 6 / 32 < packed.info.weight_bytes / wide.info.weight_bytes < 0.3  # with scale and offset of each group
    assert (wide.info.dtype, packed.info.dtype) == ("float32", "int8")
    packed.close()
    wide.close()


def test_greedy_text_is_that_of_a_resumed_request_and_of_one_in_company(plain: Path, tmp_path: Path) -> None:
    greedy = Sampling(temperature=0.0, ignore_eos=True)
    backend = load(quantised(plain, tmp_path / "model", form(4, 32)), cpu_kernels="int8")
    assert backend.info.batches
    alone = []
    for prompt in PROMPTS:
        batch = Batch(backend)
        alone.append(batch.finish(batch.insert(prompt, 24, greedy))[0].tokens)
    batch = Batch(backend)
    together = batch.finish(*[batch.insert(prompt, 24, greedy) for prompt in PROMPTS])
    assert [made.tokens for made in together] == alone
    rest = batch.finish(batch.insert(PROMPTS[0] + alone[0][:9], 15, greedy))[0]
    assert alone[0][:9] + rest.tokens == alone[0]
    backend.close()


NO_ROOM = 0.0


@pytest.mark.parametrize(
    ("flags", "share", "policy", "packed"),
    [
        ("avx_vnni", 0.5, {}, True),
        ("avx2", 0.5, {}, False),
        ("avx_vnni", 0.5, {"packed_kv": True}, False),
        ("avx_vnni", 0.5, {"dequantize": "always"}, False),
        ("avx2", NO_ROOM, {}, True),
        ("avx2", NO_ROOM, {"packed_kv": True}, True),
        ("avx_vnni", NO_ROOM, {"dequantize": "never"}, False),
    ],
)
def test_auto_is_int8_where_it_is_faster_or_fp32_has_no_room(
    flags: str,
    share: float,
    policy: dict[str, Any],
    packed: bool,
    plain: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from src.engine.mlx import weights
    from src.engine.mlx.kernels import install
    from src.engine.progress import LoadMeter

    monkeypatch.setattr(weights, "_MEMORY_SHARE", share)
    monkeypatch.setattr(install, "has_dot_products", lambda: flags != "avx2")
    model = Path(quantised(plain, tmp_path / "model", form(4, 32)))
    cpu = weights.CpuPolicy(**{"dequantize": "auto", "kernels": "auto", **policy})
    module, _ = weights.read_model(model, cpu, LoadMeter())
    assert weights.has_int8_kernels(module) is packed


def test_auto_is_fp32_where_a_matrix_is_of_another_kind(
    plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from src.engine.mlx import weights
    from src.engine.mlx.kernels import install
    from src.engine.progress import LoadMeter

    monkeypatch.setattr(install, "has_dot_products", lambda: True)
    own = {"model.layers.0.mlp.down_proj": form(6, 32)}
    model = Path(quantised(plain, tmp_path / "model", {**form(4, 32), **own}))
    module, _ = weights.read_model(model, weights.CpuPolicy("auto", "auto"), LoadMeter())
    assert not weights.has_int8_kernels(module)


@pytest.mark.parametrize(
    ("cpuinfo", "has"),
    [
        ("processor\t: 0\nflags\t\t: fpu sse2 avx2 avx_vnni\n\nprocessor\t: 1\n", True),
        ("processor\t: 0\nFeatures\t: fp asimd crc32 asimddp sha512\n", True),
        ("processor\t: 0\nflags\t\t: fpu sse2 avx2\nbugs\t: avx_vnni\n", False),
        ("processor\t: 0\nFeatures\t: fp asimd crc32\n", False),
        ("", False),
    ],
)
def test_what_a_processor_says(cpuinfo: str, has: bool, tmp_path: Path) -> None:
    from src.engine.mlx.kernels.processor import has_dot_products

    (tmp_path / "cpuinfo").write_text(cpuinfo)
    assert has_dot_products(tmp_path / "cpuinfo") is has
    assert not has_dot_products(tmp_path / "none")


def test_kernels_that_compute_a_row_otherwise_in_company_are_not_used(
    plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    from src.engine.mlx import weights
    from src.engine.mlx.kernels import install

    def uneven(bits: int, group: int) -> int:
        raise ArithmeticError(f"{bits} bits in groups of {group}: a row depends on those beside it")

    monkeypatch.setattr(install, "row_multiple", uneven)
    module = read(quantised(plain, tmp_path / "model", form(4, 32)), "int8")
    assert not weights.has_int8_kernels(module)
    assert len([line for line in said if "4 bits in groups of 32" in line and "not used" in line]) == 1


def test_a_head_is_not_computed_for_a_prompt(plain: Path, tmp_path: Path) -> None:
    from src.engine.mlx.kernels import head

    module = read(quantised(plain, tmp_path / "model", form(4, 32)), "int8")
    with head.skipped():
        assert not logits(module, PROMPTS[:1]).any()
    assert logits(module, PROMPTS[:1]).any()


@pytest.mark.parametrize(
    ("kind", "named"),
    [(form(3, 32), "3 bits in groups of 32"), ({"group_size": 16, "bits": 4, "mode": "nvfp4"}, "groups of 16")],
    ids=["3 bits", "groups of 16"],
)
def test_other_kinds_are_left_to_fp32_with_one_line(
    kind: dict[str, Any], named: str, plain: Path, tmp_path: Path, said: list[str]
) -> None:
    model = quantised(plain, tmp_path / "model", kind)
    backend = load(model, cpu_kernels="int8", cpu_dequantize="always")
    assert backend.info.dtype == "float32"
    assert len([line for line in said if "not taken" in line and named in line]) == 1
    batch = Batch(backend)
    assert batch.finish(batch.insert([1, 2, 3], 4))[0].tokens
    backend.close()


def test_one_matrix_of_another_kind_leaves_the_others_in_int8(plain: Path, tmp_path: Path, said: list[str]) -> None:
    own = {"model.layers.0.mlp.down_proj": form(6, 32)}
    model = quantised(plain, tmp_path / "model", {**form(4, 32), **own})
    assert relative_error(model) < 0.03
    assert len([line for line in said if "1 matrices are not taken: 6 bits in groups of 32" in line]) == 1
