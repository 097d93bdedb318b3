"""`make chaos`: mixed traffic while every process is killed at random; `python -m tests.chaos --seconds 600`.

Every request must end in exactly one outcome within its deadline, and nothing may be left behind: no process, socket,
file descriptor or memory. Prints one table; exit 1 when a promise was broken. Loopback only, bounded in time and count.
"""

from __future__ import annotations

import argparse
import random
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.chaos.damage import Damage
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
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    with service(**_SETTINGS) as running:
        outcomes, kills, slowest = _storm(running, options.seconds, options.seed)
        broken = _aftermath(running)
    broken += [f"{name}: {count}" for name, count in outcomes.items() if name.startswith("BROKEN")]
    _report(outcomes, kills, slowest, broken)
    return 1 if broken else 0


def _storm(running: Running, seconds: float, seed: int) -> tuple[Counter[str], Counter[str], float]:
    over = threading.Event()
    clients = [Client(running, random.Random(seed + number)) for number in range(_CLIENTS)]
    damage = Damage(running, random.Random(seed))
    with ThreadPoolExecutor(_CLIENTS + 1) as crowd:
        work = [crowd.submit(client.run, over) for client in clients]
        work.append(crowd.submit(damage.run, over))
        over.wait(seconds)
        over.set()
        for future in work:
            future.result(timeout=120)
    outcomes = sum((client.outcomes for client in clients), Counter[str]())
    return outcomes, damage.done, max(client.slowest for client in clients)


def _aftermath(running: Running) -> list[str]:
    """What is not as it was, once the storm is over."""
    broken = []
    running.wait("/readyz", 60)
    deadline = time.monotonic() + _SETTLE_S
    while (left := _left_over(running)) and time.monotonic() < deadline:
        time.sleep(0.5)
    broken += left
    last = Client(running, random.Random(0))
    if last.plain() != "ok":
        broken.append("it does not answer any more")
    return broken


def _left_over(running: Running) -> list[str]:
    found = []
    health = running.status().get("engine", {}).get("health")
    load = health["load"] if isinstance(health, dict) else None
    if not isinstance(load, dict) or load["running"] + load["waiting"]:
        found.append(f"the engine still works: {load}")
    processes = running.processes()
    if len(processes) > 9:
        found.append(f"{len(processes)} processes: {[' '.join(p.cmdline())[-60:] for p in processes]}")
    descriptors = max(process.num_fds() for process in processes)
    if descriptors > 120:
        found.append(f"{descriptors} open files in one process")
    return found


def _report(outcomes: Counter[str], kills: Counter[str], slowest: float, broken: list[str]) -> None:
    rows = [("requests", sum(outcomes.values())), ("slowest, s", round(slowest, 1))]
    rows += sorted(outcomes.items()) + [(f"damage: {name}", count) for name, count in sorted(kills.items())]
    for name, value in rows:
        sys.stdout.write(f"| {name} | {value} |\n")
    for line in broken:
        sys.stdout.write(f"BROKEN: {line}\n")


if __name__ == "__main__":
    sys.exit(main())
