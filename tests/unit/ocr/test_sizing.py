"""OCR_WORKERS=auto: how many workers a machine bears, when there is one more, when one less."""

from __future__ import annotations

import pytest

from src.ocr.sizing import PoolFacts, WorkerLimits, bounds, change
from src.settings import OcrSettings
from tests.unit.ocr.conftest import Run
from tests.unit.ocr.staff import Staff, settled

GIB = 1 << 30
LIMITS = WorkerLimits(1, 4)


def facts(
    size: int = 1, loaded: int = 1, busy: int = 1, waiting: int = 1, idle_s: float = 0.0, free: int = 8
) -> PoolFacts:
    return PoolFacts(size, loaded, busy, waiting, idle_s, free * GIB)


@pytest.mark.parametrize(
    ("cores", "memory", "on_gpu", "most"), [(8, 64, False, 8), (64, 64, False, 8), (8, 3, False, 2), (8, 64, True, 1)]
)
def test_worker_limits_of_a_machine(cores: int, memory: int, on_gpu: bool, most: int) -> None:
    """Cores, OCR_MAX_CONCURRENT (8) and half the memory bound it; a GPU takes one process."""
    found = bounds(
        OcrSettings(ocr_workers="auto"), cores=cores, memory_bytes=memory * GIB, model_bytes=0, on_gpu=on_gpu
    )
    assert (found.least, found.most) == (1, most)


def test_a_fixed_number_of_workers() -> None:
    """OCR_WORKERS=3 is three, whatever the machine; but no more than pages are admitted."""
    found = bounds(OcrSettings(ocr_workers=3), cores=1, memory_bytes=GIB, model_bytes=0, on_gpu=True)
    assert (found.least, found.most) == (3, 3)
    few = OcrSettings(ocr_workers=3, ocr_max_concurrent=2)
    assert bounds(few, cores=8, memory_bytes=64 * GIB, model_bytes=0, on_gpu=False).most == 2


@pytest.mark.parametrize(
    ("now", "step"),
    [
        (facts(), 1),
        (facts(waiting=0), 0),
        (facts(size=2), 0),  # one is loading
        (facts(size=4, loaded=4, busy=4), 0),  # no more
        (facts(free=1), 0),  # no memory
        (facts(size=3, loaded=3, busy=0, waiting=0, idle_s=500), -1),
        (facts(size=3, loaded=3, busy=0, waiting=0, idle_s=5), 0),
        (facts(size=1, loaded=1, busy=0, waiting=0, idle_s=500), 0),  # the last stays
        (facts(size=2, loaded=2, busy=2, waiting=3, free=0), -1),  # the machine needs it more
    ],
)
def test_autoscaling_by_load_and_memory(now: PoolFacts, step: int) -> None:
    """One more when all are busy and pages wait, one less when nobody comes or memory runs out."""
    assert change(now, LIMITS) == step


def test_the_pool_grows_and_shrinks(run: Run) -> None:
    """A new place gets its worker; only an idle one is given up, and its loads still count."""

    async def story() -> None:
        staff = await Staff().open()
        staff.pool.grow()
        await settled()
        assert (staff.pool.size, staff.pool.loaded) == (2, 2)
        staff.submit("a", "b")
        await settled()
        staff.pool.shrink()
        assert staff.pool.size == 2
        await staff.answer("b")
        staff.pool.shrink()
        await settled()
        assert (staff.pool.size, staff.pool.loaded, staff.pool.model_loads, staff.pool.restarts) == (1, 1, 2, 0)
        assert staff.worker_of("b").ended
        await staff.close()

    run(story())


def test_a_worker_is_recycled(run: Run) -> None:
    """After OCR_RECYCLE_PAGES pages, or when it has grown too much; that is no failure, and no page notices."""

    async def story() -> None:
        staff = await Staff(ocr_recycle_pages=2).open()
        pages = staff.submit("a", "b", "c", "d")
        await settled()
        for name in "abcd":
            await staff.answer(name)
        assert all(page.outcome.done() for page in pages)
        assert staff.worker_of("a") is staff.worker_of("b")
        assert staff.worker_of("b") is not staff.worker_of("c")
        assert (staff.pool.recycled, staff.pool.restarts, staff.admission.failures) == (2, 0, 0)
        staff.submit("e")
        await settled()
        staff.memory = 64 * GIB
        await staff.answer("e")
        assert staff.pool.recycled == 3
        await staff.close()

    run(story())
