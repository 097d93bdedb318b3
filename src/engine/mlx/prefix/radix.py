"""A radix tree of token sequences, each edge with what was computed for its tokens; bounded in bytes. Pure.

Sequences that begin alike share their beginning: it is kept once. Eviction is by least recent use, from the leaves
of the tree. Each salt has a tree of its own. Owner thread; what it counts may be read from any.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from src.engine.tokens import common_prefix


class Span(Protocol):
    """What was computed for the tokens of one edge."""

    @property
    def nbytes(self) -> int: ...


S = TypeVar("S", bound=Span)


@dataclass(eq=False)
class Node(Generic[S]):
    """An edge and its end. Only the root of a salt has no span."""

    tokens: list[int]
    span: S | None = None
    parent: Node[S] | None = None
    children: dict[int, Node[S]] = field(default_factory=dict)

    @property
    def nbytes(self) -> int:
        return self.span.nbytes if self.span is not None else 0


class RadixTree(Generic[S]):
    """`cut` divides a span in two after so many of its tokens."""

    def __init__(self, limit_bytes: int, cut: Callable[[S, int], tuple[S, S]]) -> None:
        self.limit_bytes = limit_bytes
        self.nbytes = 0
        self._cut = cut
        self._roots: dict[str, Node[S]] = {}
        # least recently used first; a node always stands behind its children, so the first is a leaf
        self._order: OrderedDict[Node[S], None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._order)

    def find(self, salt: str, tokens: list[int], *, used: bool = True) -> list[tuple[Node[S], int]]:
        """The path along `tokens` as far as it is known: each node, and how many of its edge's tokens are theirs.

        `used`: it counts as a recent use.
        """
        path: list[tuple[Node[S], int]] = []
        node, at = self._roots.get(salt), 0
        while node is not None and at < len(tokens) and (node := node.children.get(tokens[at])) is not None:
            same = common_prefix(node.tokens, tokens[at : at + len(node.tokens)])
            path.append((node, same))
            at += same
            if same < len(node.tokens):
                break
        if path and used:
            self._touch(path[-1][0])
        return path

    def add(self, salt: str, tokens: list[int], make: Callable[[int], S], *, exact: bool = True) -> Node[S] | None:
        """The node that ends where `tokens` end; `make(start)` is the span of what is new.

        None when nothing is, and the end lies within an edge that need not be divided for it, not being `exact`.
        """
        path = self.find(salt, tokens)
        known = sum(same for _, same in path)
        if known == len(tokens) and not exact:
            return None
        parent = self._end(*path[-1]) if path else self._roots.setdefault(salt, Node([]))
        if known == len(tokens):
            return parent
        node = Node(tokens[known:], make(known), parent)
        parent.children[tokens[known]] = node
        self._order[node] = None
        self._touch(node)
        self._grew(node.nbytes)
        return node

    def replace(self, node: Node[S], span: S) -> None:
        """Another span for a node that may have been forgotten since."""
        if node in self._order:
            grown = span.nbytes - node.nbytes
            node.span = span
            self._grew(grown)

    def evict(self, limit_bytes: int) -> None:
        """Evict the least recently used nodes until the rest fits."""
        while self.nbytes > limit_bytes:
            node, _ = self._order.popitem(last=False)
            if node.parent is not None:  # roots are not in the order
                del node.parent.children[node.tokens[0]]
            self.nbytes -= node.nbytes
        if not self._order:
            self._roots.clear()

    def _grew(self, by: int) -> None:
        self.nbytes += by
        self.evict(self.limit_bytes)

    def _touch(self, node: Node[S] | None) -> None:
        while node is not None and node.parent is not None:
            self._order.move_to_end(node)
            node = node.parent

    def _end(self, node: Node[S], same: int) -> Node[S]:
        """The node that ends after `same` tokens of this edge; the edge is divided for it."""
        if same == len(node.tokens) or node.span is None or node.parent is None:
            return node
        before = node.nbytes
        left, right = self._cut(node.span, same)
        upper = Node(node.tokens[:same], left, node.parent, {node.tokens[same]: node})
        node.parent.children[node.tokens[0]] = upper
        node.tokens, node.span, node.parent = node.tokens[same:], right, upper
        self.nbytes += upper.nbytes + node.nbytes - before
        self._order[upper] = None
        self._touch(upper)
        return upper
