"""The radix tree: what is shared is kept once, and what nobody asked for the longest goes first."""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest

from src.engine.mlx.prefix.radix import RadixTree
from src.engine.tokens import common_prefix

LIMIT = 1000


@dataclass(frozen=True)
class Letters:
    """A span whose content is its tokens, a byte each."""

    tokens: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        return len(self.tokens)


def cut(span: Letters, at: int) -> tuple[Letters, Letters]:
    return Letters(span.tokens[:at]), Letters(span.tokens[at:])


def tree(limit: int = LIMIT) -> RadixTree[Letters]:
    return RadixTree(limit, cut)


def add(into: RadixTree[Letters], text: str, salt: str = "") -> None:
    tokens = list(text.encode())
    into.add(salt, tokens, lambda start: Letters(tuple(tokens[start:])))


def known(of: RadixTree[Letters], text: str, salt: str = "") -> str:
    """What the tree knows of a text, read from the spans on its way."""
    way = of.find(salt, list(text.encode()))
    return bytes(token for node, same in way if node.span for token in node.span.tokens[:same]).decode()


def test_what_was_added_is_found_as_far_as_it_goes() -> None:
    """Any beginning of what is kept is found, to the token."""
    kept = tree()
    add(kept, "the system prompt, then one")
    assert known(kept, "the system prompt, then another") == "the system prompt, then "
    assert known(kept, "the s") == "the s"
    assert known(kept, "nothing of it") == ""


def test_a_shared_beginning_is_kept_once() -> None:
    """Two sequences cost what they have in common once."""
    kept = tree()
    add(kept, "shared beginning, one")
    add(kept, "shared beginning, two")
    assert kept.nbytes == len("shared beginning, one" + "two")
    assert known(kept, "shared beginning, one") == "shared beginning, one"
    assert known(kept, "shared beginning, two") == "shared beginning, two"


def test_a_longer_sequence_adds_what_is_new() -> None:
    """A conversation that goes on costs its new turn."""
    kept = tree()
    add(kept, "turn one.")
    add(kept, "turn one. turn two.")
    assert kept.nbytes == len("turn one. turn two.")


def test_an_end_within_an_edge_divides_it_only_when_asked() -> None:
    """Without need a known beginning changes nothing."""
    kept = tree()
    add(kept, "abcdef")
    assert kept.add("", list(b"abc"), lambda _: Letters(()), exact=False) is None
    assert len(kept) == 1
    node = kept.add("", list(b"abc"), lambda _: Letters(()))
    assert node is not None
    assert (bytes(node.tokens), len(kept)) == (b"abc", 2)


def test_salts_do_not_meet() -> None:
    """What one key's requests left behind is nothing to another's."""
    kept = tree()
    add(kept, "a secret beginning", salt="alice")
    assert known(kept, "a secret beginning", salt="bob") == ""
    assert known(kept, "a secret beginning", salt="alice") == "a secret beginning"


def test_the_least_recently_used_goes_first() -> None:
    """Asking for something keeps it, and the beginning it shares."""
    kept = tree(limit=12)
    add(kept, "aaaa1")
    add(kept, "aaaa2")
    add(kept, "bbbb")
    assert known(kept, "aaaa1") == "aaaa1"
    add(kept, "cccc")
    assert known(kept, "aaaa1") == "aaaa1"
    assert known(kept, "bbbb") == ""
    assert kept.nbytes <= 12


def test_what_is_too_large_is_not_kept() -> None:
    """One sequence beyond the limit leaves an empty tree, not a broken one."""
    kept = tree(limit=3)
    add(kept, "much too long")
    assert (kept.nbytes, len(kept)) == (0, 0)
    add(kept, "ok")
    assert known(kept, "ok") == "ok"


def test_a_span_can_grow_unless_it_was_forgotten() -> None:
    """A forgotten node's bytes are counted no more."""
    kept = tree(limit=10)
    node = kept.add("", [1, 2], lambda _: Letters((1, 2)))
    assert node is not None
    kept.replace(node, Letters((1, 2, 0, 0)))
    assert kept.nbytes == 4
    kept.evict(0)
    kept.replace(node, Letters((1, 2, 0, 0, 0)))
    assert kept.nbytes == 0


@pytest.mark.parametrize("seed", range(8))
def test_under_random_use_it_is_right_and_within_its_bounds(seed: int) -> None:
    """Whatever comes: bytes are the sum of what is kept, within the limit; what is found is what was added."""
    chance, kept, limit = random.Random(seed), tree(limit=60), 60
    for _ in range(600):
        text, salt = "".join(chance.choices("ab", k=chance.randint(1, 14))), chance.choice("xy")
        if chance.random() < 0.6:
            add(kept, text, salt)
        else:
            assert text.startswith(known(kept, text, salt))
        total = sum(node.nbytes for node in kept._order)
        assert kept.nbytes == total <= limit
        first = next(iter(kept._order), None)
        assert first is None or not first.children


@pytest.mark.parametrize(
    ("left", "right", "same"), [(0, 0, 0), (3, 3, 3), (255, 300, 255), (256, 256, 256), (700, 600, 600)]
)
def test_common_prefix_of_equal_tokens(left: int, right: int, same: int) -> None:
    """It ends where the shorter ends."""
    assert common_prefix([7] * left, [7] * right) == same


@pytest.mark.parametrize("at", [0, 1, 255, 256, 257, 511, 512, 599])
def test_common_prefix_ends_at_the_first_difference(at: int) -> None:
    """Wherever it lies."""
    other = [7] * 600
    other[at] = 8
    assert common_prefix([7] * 600, other) == at
