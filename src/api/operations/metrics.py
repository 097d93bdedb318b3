"""What the web process itself adds to the readings of a scrape: the machine and its own work."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from importlib import metadata

import gevent

from src.api.generation.inflight import InFlight
from src.api.instances import Instances
from src.api.state.batches import BatchLoad
from src.api.usage.budgets import Budgets
from src.gpu.machine import read_host
from src.metrics import Readings
from src.settings import VERSION

_alive: set[int] = set()  # greenlets


def with_own(
    readings: Readings, inflight: InFlight, batch: BatchLoad, budgets: Budgets, instances: Instances
) -> Readings:
    """The others' readings and ours."""
    host = read_host()
    of_keys = {(key, budget.unit): budget for key in budgets.keys for budget in budgets.of(key)}
    return replace(
        readings,
        host_memory_bytes={"total": host.memory_total_bytes, "available": host.memory_available_bytes},
        in_flight=len(inflight),
        batch_requests={"waiting": batch.waiting, "running": batch.running},
        key_budgets={name: budget.limit for name, budget in of_keys.items()},
        key_spent={name: budget.spent for name, budget in of_keys.items()},
        greenlets=greenlets_alive(),
        instances=instances.seen,
        works_on_batches=batch.worked_on_here,
        version=VERSION,
        mlx_version=_mlx_version(),
    )


@lru_cache(1)
def _mlx_version() -> str:
    """As it is installed: also while no model is loaded, and without an import of it."""
    try:
        return metadata.version("mlx")
    except metadata.PackageNotFoundError:
        return ""


def count_greenlets() -> None:
    """From here on: one for each connection, and what those have begun. A leak shows here. Called in the worker."""
    gevent.Greenlet.add_spawn_callback(_spawned)


def greenlets_alive() -> int:
    return len(_alive)


def _spawned(greenlet: gevent.Greenlet) -> None:
    name = id(greenlet)
    _alive.add(name)
    greenlet.rawlink(lambda _: _alive.discard(name))
