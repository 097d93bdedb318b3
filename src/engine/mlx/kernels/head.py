"""Whether a model's head is to be computed: MLX leaves out what nobody reads, a product outside MLX must be told.

While a prompt is computed nobody reads logits, which are a quarter of the work of a small model with a wide vocabulary.
Imported by `rows` for every model, so it imports nothing itself. Owner thread.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

_skipped = False


@contextmanager
def skipped() -> Iterator[None]:
    """Within, heads of int8 kernels return zeros."""
    global _skipped  # noqa: PLW0603  # what is between is mlx-lm's
    _skipped = True
    try:
        yield
    finally:
        _skipped = False


def is_skipped() -> bool:
    return _skipped
