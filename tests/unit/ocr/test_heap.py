"""When a worker gives freed memory back."""

from __future__ import annotations

from src.ocr.heap import Heap

MIB = 1 << 20


def test_the_heap_is_trimmed_after_a_large_page_only() -> None:
    held = iter([245 * MIB, 300 * MIB, 480 * MIB, 250 * MIB])
    trims: list[int] = []
    heap = Heap(lambda: next(held), trims.append)
    seen = []
    for _ in range(3):
        heap.trim()
        seen.append(len(trims))
    assert seen == [0, 1, 1]
