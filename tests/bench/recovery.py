"""How long clients wait when the engine dies under them: the longest pause of 20 streams, beside its own start."""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import httpx

from tests.running import Running

_STREAMS = 20
_TOKENS = 300
_KILLS = 3
_PATIENCE_S = 60.0


def longest_pause(service: Running) -> list[tuple[str, str, str]]:
    """kill -9 of the engine under 20 streams, three times; each pause against the start that ended it."""
    pauses, starts, broken = [], [], 0
    for _ in range(_KILLS):
        with ThreadPoolExecutor(_STREAMS) as crowd:
            streams = [crowd.submit(_gaps, service, number) for number in range(_STREAMS)]
            _wait_until_all_are_answered(service)
            starts.append(_kill(service))
            gaps = [stream.result(timeout=_PATIENCE_S * 3) for stream in streams]
        broken += sum(gap is None for gap in gaps)
        pauses.append(max(gap for gap in gaps if gap is not None))
    return [
        ("engine killed under 20 streams: its start, s", _range(starts), ""),
        ("the longest pause of a stream, s", _range(pauses), ""),
        ("the pause beyond the start, s", _range([p - s for p, s in zip(pauses, starts, strict=True)]), "≤ 1"),
        ("streams that did not end whole", f"{broken} of {_STREAMS * _KILLS}", "0"),
    ]


def _wait_until_all_are_answered(service: Running) -> None:
    """A kill before a stream's first event would be seen as a slow beginning, not as a pause."""
    deadline, began = time.monotonic() + _PATIENCE_S, 0
    while began < _STREAMS and time.monotonic() < deadline:
        health = service.status()["engine"].get("health")
        load = health.get("load") if isinstance(health, dict) else None
        began = load["running"] if isinstance(load, dict) else 0
        time.sleep(0.1)
    time.sleep(0.5)


def _kill(service: Running) -> float:
    """Seconds from the kill until its successor is ready."""
    before = service.pid("engine")
    began = time.monotonic()
    os.kill(before, signal.SIGKILL)
    while time.monotonic() - began < _PATIENCE_S:
        engine = service.status().get("engine", {})
        if engine.get("pid") not in (before, None) and engine.get("state") == "ready":
            break
        time.sleep(0.02)
    return time.monotonic() - began


def _gaps(service: Running, number: int) -> float | None:
    """The longest time between two events of one stream; None when it did not end as it should."""
    body: dict[str, Any] = {
        "messages": [{"role": "user", "content": f"Tell me about the number {number}."}],
        "stream": True,
        "max_tokens": _TOKENS,
        "ignore_eos": True,
    }
    with httpx.stream("POST", f"{service.url}/v1/chat/completions", json=body, timeout=_PATIENCE_S) as reply:
        came = [(time.monotonic(), line) for line in reply.iter_lines() if line]
    longest = max((later - earlier for (earlier, _), (later, _) in pairwise(came)), default=0.0)
    return longest if came and came[-1][1] == "data: [DONE]" else None


def _range(values: list[float]) -> str:
    return f"{min(values):.1f} – {max(values):.1f}"
