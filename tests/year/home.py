"""One service through the days of a year: rotations, key changes and model updates under light traffic."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from src.settings import ROOT, LogSettings
from tests.e2e import pictures
from tests.running import service
from tests.unit.hub.loopback import MODEL, Repository, hub
from tests.year.operator import WITHIN_S, Operator, new_key
from tests.year.plan import Plan
from tests.year.readings import Counters, Levels
from tests.year.traffic import Traffic

_SCRAPE_S = 2.0


@dataclass
class Year:
    """What came of it."""

    traffic: Traffic
    counters: Counters = field(default_factory=Counters)
    levels: Levels = field(default_factory=Levels)
    restarts: dict[str, dict[str, int]] = field(default_factory=dict)


def live(plan: Plan, folder: Path) -> Year:
    """Every day's deeds in turn, as fast as each shows its effect."""
    with _operator(plan, folder) as operator:
        key = new_key(operator.key_file, "app", "user")
        operator.change_key(0)
        year = Year(Traffic(operator.running.url, key, MODEL, pictures.line("hello")))
        over = threading.Event()
        with ThreadPoolExecutor(len(year.traffic.kinds) + 1) as crowd:
            work = [crowd.submit(year.traffic.repeat, kind, over) for kind in year.traffic.kinds]
            work.append(crowd.submit(_scrape, operator, year.counters, over))
            try:
                for day in range(1, plan.days + 1):
                    _day(day, plan, operator, year)
            finally:
                over.set()
            for one in work:
                one.result(90)
        year.restarts = operator.restarts()
        return year


def _day(day: int, plan: Plan, operator: Operator, year: Year) -> None:
    operator.rotate_logs(day)
    operator.change_key(day)
    if plan.updates_before(day):
        operator.update_model()
    year.levels.read(day, operator)


def _scrape(operator: Operator, counters: Counters, over: threading.Event) -> None:
    while not over.wait(_SCRAPE_S):
        counters.read(operator.metrics())


@contextmanager
def _operator(plan: Plan, folder: Path) -> Iterator[Operator]:
    """A hub, the model pulled from it, and a service that serves it to keys alone."""
    demo = ROOT / "models" / "demo"
    repository = Repository({path.name: path.read_bytes() for path in demo.iterdir() if path.is_file()})
    logs, key_file, models = LogSettings(log_retention_days=plan.retention_days), folder / "keys", folder / "models"
    models.mkdir()
    admin = new_key(key_file, "operator", "admin")
    each_its_own = httpx.Limits(max_keepalive_connections=0)  # whom a connection reaches is the newest worker
    with hub(repository) as url, httpx.Client(timeout=WITHIN_S, limits=each_its_own) as http:
        operator = Operator(key_file, admin, repository, models, url, logs, http)
        operator.pull()
        with service(
            models_dir=models,
            default_model=MODEL,
            api_keys_file=key_file,
            log_retention_days=plan.retention_days,
            ocr_engine="fake",
            ocr_workers=1,
            graceful_timeout=30,  # as an operator has it: the tests' few seconds may cut a page on a busy machine
        ) as operator.running:
            yield operator
