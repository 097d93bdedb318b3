"""The chat benchmark asks for what it says: prompts of the size named, none like another but for what is shared."""

from __future__ import annotations

from pathlib import Path

import pytest
from tokenizers import Tokenizer

from src.engine.tokens import common_prefix
from tests.bench.chat import __main__ as bench
from tests.bench.chat.__main__ import Figures, markdown, ratio, shown
from tests.bench.chat.workloads import MIXED, SHARED, UNIFORM, Texts, Workload


def prompts(work: Workload, model: Path) -> list[list[int]]:
    """The token ids of a round, as the demo's template puts them together."""
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    bodies = Texts(model).bodies(work, "m", at=0)
    turns = ["".join(f"<|im_start|>{m['role']}\n{m['content']}<|im_end|>\n" for m in b["messages"]) for b in bodies]
    return [list(tokenizer.encode(f"{turn}<|im_start|>assistant\n").ids) for turn in turns]


@pytest.mark.parametrize("work", [UNIFORM[1], SHARED], ids=lambda work: str(work.name))
def test_prompts_have_the_size_they_are_named_for(work: Workload, random_model: Path) -> None:
    for prompt in prompts(work, random_model):
        assert 0.9 * work.prompt <= len(prompt) <= 1.1 * work.prompt + 8


@pytest.mark.parametrize(("work", "least", "most"), [(UNIFORM[1], 0, 8), (SHARED, 500, 530)])
def test_only_what_is_shared_is_alike(work: Workload, least: int, most: int, random_model: Path) -> None:
    first, second, *_ = prompts(work, random_model)
    assert least <= common_prefix(first, second) <= most


def test_every_server_gets_the_same_sizes(random_model: Path) -> None:
    """A mixed round is the same work for all of them, with other words."""
    texts = Texts(random_model)
    one, other = texts.bodies(MIXED, "m", at=3), texts.bodies(MIXED, "m", at=3)
    assert [body["max_tokens"] for body in one] == [body["max_tokens"] for body in other]
    assert [body["messages"] for body in one] != [body["messages"] for body in other]


def test_the_table_compares_rounds_in_pairs() -> None:
    """Ratios are of rounds that ran one after the other, not of medians."""
    assert ratio([10.0, 40.0, 90.0], [10.0, 20.0, 30.0]) == "2.00 (1.00–3.00)×"
    assert shown([7.0]) == "7"
    table = {("w", "stoker"): Figures([20.0], [0.5], [0.1]), ("w", "other"): Figures([10.0], [1.0], [0.2])}
    assert "| w | other | 10 | 2.00× | 1.00 | 0.20 |" in markdown(table, "t")


def test_a_run_ends_in_tables_a_picture_and_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes twelve minutes does not fail in its last second: the same end, on invented rounds."""
    page = tmp_path / "performance.md"
    page.write_text("# Before\n\n<!-- chat -->\nold\n<!-- /chat -->\n\nAfter.\n")
    monkeypatch.setattr(bench, "FOLDER", tmp_path / "bench")
    monkeypatch.setattr(bench, "_DOCS", page)
    monkeypatch.setattr(bench, "run", invented)
    (tmp_path / "bench").mkdir()
    bench.write(bench.tables(quick=True))
    text = page.read_text()
    assert text.startswith("# Before")
    assert text.endswith("<!-- /chat -->\n\nAfter.\n")
    assert "old" not in text
    assert "| 32 streams, 75 + 64 | limit |" in text
    assert page.with_suffix(".png").stat().st_size > 5000


def invented(
    model: Path, plan: list[tuple[Workload, int]], *, fast: bool, peers: tuple[str, ...]
) -> dict[tuple[str, str], Figures]:
    """A table as a run makes it: the limit has rates alone."""
    return {
        (work.name, name): Figures([9.0] * count, [] if name == "limit" else [0.1] * count, [])
        for work, count in plan
        for name in ("limit", "stoker", *peers)
    }
