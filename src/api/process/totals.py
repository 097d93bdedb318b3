"""Counters and histograms of a registry as plain numbers, to be added to another's. Called by web's `handover`.

The one place that touches prometheus_client's internals: it can be counted up only through them.
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter
from typing import Any

import msgspec
from prometheus_client import Counter, Histogram

_NAME, _LABELS, _CHILDREN = map(attrgetter, ("_name", "_labelnames", "_metrics"))
_VALUE, _SUM, _BUCKETS = map(attrgetter, ("_value", "_sum", "_buckets"))


class Series(msgspec.Struct, frozen=True):
    """A counter's value, or a histogram's sum and the count of each bucket."""

    name: str
    labels: tuple[str, ...]
    values: tuple[float, ...]


def read(metrics: Iterable[Counter | Histogram]) -> list[Series]:
    """Every series as it stands."""
    return [Series(name, labels, _values(child)) for metric in metrics for name, labels, child in _children(metric)]


def subtract(now: Iterable[Series], before: Iterable[Series]) -> list[Series]:
    """What has been counted since."""
    then = {(one.name, one.labels): one.values for one in before}
    return [
        Series(one.name, one.labels, tuple(new - old for new, old in zip(one.values, past, strict=True)))
        for one in now
        if (past := then.get((one.name, one.labels), (0.0,) * len(one.values))) != one.values
    ]


def add(metrics: Iterable[Counter | Histogram], series: Iterable[Series]) -> None:
    """Count up by these. What has another name, label or bucket by now is left out."""
    by_name = {_NAME(metric): metric for metric in metrics}
    for one in series:
        metric = by_name.get(one.name)
        if metric is not None and len(_LABELS(metric)) == len(one.labels):
            _count_up(metric.labels(*one.labels) if one.labels else metric, one.values)


def _children(metric: Any) -> list[tuple[str, tuple[str, ...], Any]]:
    name: str = _NAME(metric)
    if not _LABELS(metric):
        return [(name, (), metric)]
    return [(name, labels, child) for labels, child in list(_CHILDREN(metric).items())]


def _values(child: Any) -> tuple[float, ...]:
    if isinstance(child, Histogram):
        return (_SUM(child).get(), *(bucket.get() for bucket in _BUCKETS(child)))
    return (_VALUE(child).get(),)


def _count_up(child: Any, values: tuple[float, ...]) -> None:
    if isinstance(child, Counter):
        child.inc(values[0])
    elif len(values) == len(_BUCKETS(child)) + 1:
        _SUM(child).inc(values[0])
        for bucket, value in zip(_BUCKETS(child), values[1:], strict=True):
            bucket.inc(value)
