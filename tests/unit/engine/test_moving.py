"""A model leaves the device and comes back: what it frees, and that it answers as before. Real MLX, a tiny model."""

from __future__ import annotations

from pathlib import Path

from src.engine import loading
from src.engine.backend import Backend
from src.engine.progress import LoadMeter
from src.engine.scheduler import Scheduler
from src.ipc.messages.chat import Sampling
from src.settings import Settings
from tests.unit.engine.test_scheduler import Bench


def greedy(backend: Backend) -> list[int]:
    backend.insert([5, 6, 7, 8, 9], 24, Sampling(temperature=0.0))
    tokens: list[int] = []
    while len(tokens) < 24:
        made = backend.step().tokens
        tokens += [token.token for token in made]
        if made and made[-1].finish:
            break
    return tokens


def test_weights_leave_and_come_back_with_the_same_text(random_model: Path) -> None:
    """Away, MLX holds no weights; back, greedy text is what it was. Progress has counted every byte."""
    import mlx.core as mx

    settings = Settings(_env_file=None, inference_engine="mlx", prefix_cache_mb=64)
    clock = iter(range(1000))
    progress = LoadMeter(lambda: float(next(clock)))
    backend = loading.load(str(random_model), settings, progress)
    reading = progress.reading()
    assert reading is not None
    assert reading.done_bytes == reading.total_bytes > 0
    assert reading.eta_s == 0
    before = greedy(backend)
    weights = backend.info.weight_bytes
    assert weights
    loaded = mx.get_active_memory()
    backend.to_host()
    assert loaded - mx.get_active_memory() >= 0.9 * weights
    assert backend.memory().mlx_active_bytes is not None
    backend.trim()
    backend.to_device()
    assert greedy(backend) == before
    backend.close()


def test_a_move_waits_for_the_batch_to_be_empty() -> None:
    """Ordered while something runs, it is carried out after the last has ended, and only then reported."""
    bench = Bench()
    done: list[str] = []
    bench.submit(max_tokens=3)
    bench.scheduler.run_once()
    bench.scheduler.move("cpu", lambda: done.append("cpu"))
    while bench.scheduler.load().running:
        assert done == []
        bench.scheduler.run_once()
    bench.scheduler.run_once()
    assert (done, bench.backend.moves, bench.scheduler.location) == (["cpu"], ["cpu"], "cpu")


def test_what_arrives_at_an_empty_device_is_refused() -> None:
    """It came without a place; the supervisor would have brought the model back first."""
    bench = Bench()
    bench.scheduler.move("cpu", lambda: None)
    bench.scheduler.run_once()
    bench.submit()
    bench.scheduler.run_once()
    assert [event.code for _, event in bench.events if hasattr(event, "code")] == ["backend_unavailable"]
    bench.scheduler.move("gpu", lambda: None)
    bench.scheduler.run_once()
    assert bench.backend.moves == ["cpu", "gpu"]


def test_a_move_to_where_it_is_does_nothing() -> None:
    bench = Bench()
    done: list[str] = []
    bench.scheduler.move("gpu", lambda: done.append("gpu"))
    bench.scheduler.run_once()
    assert (done, bench.backend.moves) == (["gpu"], [])


def test_the_manager_moves_the_backend() -> None:
    """The engine's scheduler is given the library's manager instead of the bare backend."""
    moved: list[str] = []

    class Managed:
        def to_host(self) -> None:
            moved.append("host")

        def to_device(self) -> None:
            moved.append("device")

    bench = Bench()
    scheduler = Scheduler(
        bench.backend,
        max_num_seqs=1,
        prefill_step_size=16,
        publish=bench.events.extend,
        clock=lambda: 0.0,
        weights=Managed(),
    )
    scheduler.move("cpu", lambda: None)
    scheduler.run_once()
    assert (moved, bench.backend.moves) == (["host"], [])
