"""`make chaos`: mixed traffic while every process is killed at random; `python -m tests.chaos --seconds 600`.

Every request must end in exactly one outcome within its deadline, and nothing may be left behind: no process, socket,
open file, greenlet or memory. Engines are renewed as planned all the while. Prints one table; exit 1 when a promise was
broken. Loopback only, bounded in time and count.
"""

from __future__ import annotations

import argparse
import random
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from tests.chaos.damage import Damage
from tests.chaos.leaks import Holdings, Memory, holdings
from tests.chaos.traffic import Client
from tests.running import Running, service

_CLIENTS = 12
_SETTLE_S = 20.0
_SETTINGS: dict[str, Any] = {
    "inference_engine": "fake",
    "ocr_engine": "fake",
    "ocr_workers": 2,
    "heartbeat_interval": 0.2,
    "heartbeat_timeout": 1.5,
    "engine_stall_timeout": 3,
    "restart_free": 100,
    "crash_limit": 1000,
    "restart_backoff_max": 1,
    "max_concurrent_requests": 16,
    "ocr_queue_timeout": 5,
    "health_probe_interval": 5,
    "engine_max_requests": 20,
    "engine_drain_timeout": 2,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    with service(**_SETTINGS) as running:
        warm = [Client(running, random.Random(number)) for number in range(2)]
        broken = [outcome for client in warm for outcome in (client.plain(), client.page()) if outcome != "ok"]
        before = holdings(running)
        storm = _storm(running, options.seconds, options.seed)
        after, left = _aftermath(running, before)
        recycled = running.status()["engine"]["restarts"]
    broken += (
        _unexplained(storm)
        + left
        + [f"{name}: {count}" for name, count in storm.outcomes.items() if name.startswith("BROKEN")]
    )
    _report(storm, [("before", before), ("after", after)], recycled, broken)
    return 1 if broken else 0


@dataclass(frozen=True)
class Storm:
    """What happened in it."""

    outcomes: Counter[str]
    damage: Counter[str]
    slowest: float
    memory: Memory


def _storm(running: Running, seconds: float, seed: int) -> Storm:
    over, memory = threading.Event(), Memory()
    clients = [Client(running, random.Random(seed + number)) for number in range(_CLIENTS)]
    damage = Damage(running, random.Random(seed), supervisor_kills=max(1, int(seconds // 200)))
    with ThreadPoolExecutor(_CLIENTS + 2) as crowd:
        work = [crowd.submit(client.run, over) for client in clients]
        work += [crowd.submit(damage.run, over), crowd.submit(memory.watch, running, over)]
        over.wait(seconds)
        over.set()
        for future in work:
            future.result(timeout=120)
    outcomes = sum((client.outcomes for client in clients), Counter[str]())
    return Storm(outcomes, damage.done, max(client.slowest for client in clients), memory)


def _aftermath(running: Running, before: Holdings) -> tuple[Holdings, list[str]]:
    """What is not as it was, once the storm is over and everything had time to end."""
    running.wait("/readyz", 60)
    deadline = time.monotonic() + _SETTLE_S
    while (broken := _still_works(running) + holdings(running).broken(before)) and time.monotonic() < deadline:
        time.sleep(0.5)
    if Client(running, random.Random(0)).plain() != "ok":
        broken.append("it does not answer any more")
    return holdings(running), broken


def _still_works(running: Running) -> list[str]:
    health = running.status().get("engine", {}).get("health")
    load = health["load"] if isinstance(health, dict) else None
    if not isinstance(load, dict) or load["running"] + load["waiting"]:
        return [f"the engine still works: {load}"]
    return []


def _unexplained(storm: Storm) -> list[str]:
    """Each death of web or its supervisor resets each client's connection, and the one it makes while web is away."""
    resets = sum(count for name, count in storm.outcomes.items() if name.startswith("connection reset"))
    deaths = sum(storm.damage[name] for name in ("web worker killed", "web master killed", "supervisor killed"))
    return [f"{resets} connections were reset by {deaths} deaths"] if resets > 2 * deaths * _CLIENTS else []


def _report(storm: Storm, held: list[tuple[str, Holdings]], restarts: object, broken: list[str]) -> None:
    rows: list[tuple[str, object]] = [
        ("requests", sum(storm.outcomes.values())),
        ("slowest, s", round(storm.slowest, 1)),
    ]
    rows += sorted(storm.outcomes.items()) + [
        (f"damage: {name}", count) for name, count in sorted(storm.damage.items())
    ]
    rows.append(("restarts of the last supervisor's engine", restarts))
    for when, what in held:
        processes, sockets = sum(what.processes.values()), len(what.sockets)
        held_words = f"{processes} processes, {sockets} sockets, {what.files} files, {what.greenlets} greenlets"
        rows.append((f"held {when}", f"{held_words}, {what.memory_mib} MiB"))
    life = storm.memory.longest
    if life:
        first, last = life[len(life) // 3][1] / (1 << 20), life[-1][1] / (1 << 20)
        rows.append(
            ("supervisor's longest life, MiB", f"{first:.1f} to {last:.1f} in {life[-1][0] - life[0][0]:.0f} s")
        )
    for name, value in rows:
        sys.stdout.write(f"| {name} | {value} |\n")
    for line in broken:
        sys.stdout.write(f"BROKEN: {line}\n")


if __name__ == "__main__":
    sys.exit(main())
