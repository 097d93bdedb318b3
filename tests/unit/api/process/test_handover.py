"""Counters outlive the worker that counted them, and are never counted twice."""

from __future__ import annotations

from pathlib import Path

import gevent
import pytest
from prometheus_client.parser import text_string_to_metric_families

from src.api.process.handover import Handover
from src.metrics import Metrics, Readings


def values(metrics: Metrics) -> dict[tuple[str, str], float]:
    text = metrics.render().decode()
    samples = (one for family in text_string_to_metric_families(text) for one in family.samples)
    return {(one.name, str(sorted(one.labels.items()))): one.value for one in samples if one.name.startswith("stoker_")}


def made() -> Metrics:
    return Metrics(lambda: Readings(version="1"))


def test_a_successor_counts_on(tmp_path: Path) -> None:
    """What was counted before it served and what the leaving one still counted, labels, buckets and sums alike."""
    old, new = made(), made()
    leaving, coming = Handover(old, tmp_path), Handover(new, tmp_path)
    old.key_tokens.labels("app").inc(7)
    old.lag.observe(0.3)
    leaving.leave()
    coming.take()
    old.key_tokens.labels("app").inc(2)
    old.http_seconds.labels("POST", "/v1/chat/completions").observe(4)
    leaving.leave()
    for _ in range(2):
        coming.take()
    assert values(new) == values(old)
    assert list(tmp_path.iterdir()) == []


def test_a_successor_is_told_what_is_counted_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Long before the leaving one ends: whoever scrapes it, and then its successor, sees no counter go back."""
    old, new = made(), made()
    counted: list[float] = []

    def second_passes(_: float) -> None:
        Handover(new, tmp_path).take()
        counted.append(values(new)[("stoker_key_tokens_total", "[('key', 'app')]")])
        if len(counted) == 3:
            raise StopAsyncIteration
        old.key_tokens.labels("app").inc(2)

    monkeypatch.setattr(gevent, "sleep", second_passes)
    old.key_tokens.labels("app").inc(7)
    with pytest.raises(StopAsyncIteration):
        Handover(old, tmp_path).leave_on()
    assert counted == [7, 9, 11]


def test_nothing_new_leaves_nothing(tmp_path: Path) -> None:
    """A worker that answered nothing meanwhile writes no second file, and takes back none of its own."""
    metrics = made()
    leaving = Handover(metrics, tmp_path)
    metrics.lag.observe(0.1)
    leaving.leave()
    leaving.leave()
    leaving.run()
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("data", [b"", b"nonsense", b"\x91\x93\xa4gone\x90\x91\xcb"])
def test_what_cannot_be_read_is_left_out(tmp_path: Path, data: bytes) -> None:
    """And removed; so is a series that the successor does not have."""
    metrics = made()
    before = values(metrics)
    (tmp_path / "1-1.counters").write_bytes(data)
    Handover(metrics, tmp_path).take()
    assert values(metrics) == before
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_gone_costs_the_counters_alone(tmp_path: Path) -> None:
    metrics = made()
    metrics.lag.observe(0.1)
    Handover(metrics, tmp_path / "gone").leave()
    assert not (tmp_path / "gone").exists()


def test_dropped_log_records_are_counted_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each process counts its own from 0; together they never go back."""
    monkeypatch.setattr("src.logs.dropped", lambda: 5)
    old, new = made(), made()
    Handover(old, tmp_path).leave()
    Handover(new, tmp_path).take()
    new.note_dropped(0)
    new.note_dropped(2)
    assert values(new)[("stoker_log_dropped_total", "[]")] == 7
