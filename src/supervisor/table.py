"""`run.py status` as text: one line per process. Pure, used by `commands/status.py`; memory usage is passed in."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator

from src.ipc.messages.status import ChildStatus, GpuReading, GpuSample, LoadProgress, ModelStatus, SystemStatus

_HEAD = ("PROCESS", "STATE", "PID", "UPTIME", "RESTARTS", "RUNNING", "WAITING", "MEMORY", "DETAIL")
_MODELS = ("MODEL", "STATE", "SIZE", "RUNNING", "WAITING", "IDLE", "DETAIL")
_GAP = "  "
_NARROWEST = 24  # columns that wrapped text gets however narrow the terminal is


def render(status: SystemStatus, memory_of: Callable[[int], int | None], width: int | None = None) -> str:
    """The whole table. `memory_of` gives the bytes of a process and its children, by pid; `width` is the terminal's."""
    head = f"stoker {status.version}, supervisor pid {status.pid}, up {duration(status.uptime_s)}"
    processes = align([_HEAD, *(_row(child, memory_of) for child in status.children)], width)
    models = align([_MODELS, *map(_model, status.models)], width) if status.models else ""
    gpus = "\n".join(f"GPU {line}" for line in gpu_lines(status.gpu)) if status.gpu is not None else ""
    reason = status.background_reason
    background = f"background requests wait: {reason}" if reason is not None else ""
    return "\n\n".join(filter(None, (head, processes, models, gpus, background)))


def gpu_lines(sample: GpuSample) -> list[str]:
    """One line per GPU, or why there is none: `0: Apple M4, 17% busy, 431 MB in use; used: the only one`."""
    return [_gpu(gpu, sample) for gpu in sample.gpus] or [f"none: {sample.reason}"]


def _gpu(gpu: GpuReading, sample: GpuSample) -> str:
    busy = "utilisation unknown" if gpu.utilization is None else f"{gpu.utilization:.0%} busy"
    total = f" of {size(gpu.memory_total_bytes)}" if gpu.memory_total_bytes is not None else ""
    used = f"; used: {sample.why}" if gpu is sample.used else ""
    return f"{gpu.index}: {gpu.name}, {busy}, {size(gpu.memory_used_bytes)}{total} in use{used}"


def align(rows: list[tuple[str, ...]], width: int | None = None) -> str:
    """Columns as wide as their widest cell; with a `width`, the last one is wrapped to fit the terminal."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    before = sum(widths[:-1]) + len(_GAP) * (len(widths) - 1)
    return "\n".join(
        hang(_GAP.join([*map(str.ljust, row[:-1], widths), ""]), row[-1], before, width).rstrip() for row in rows
    )


def hang(start: str, text: str, before: int, width: int | None) -> str:
    """`start` and `text`; lines after the first begin under the text, `before` columns in."""
    if width is None or before + len(text) <= width:
        return start + text
    room = max(_NARROWEST, width - before)
    return start + f"\n{' ' * before}".join(textwrap.wrap(text, room))


def duration(seconds: float) -> str:
    """Two units at most: `4.2 s`, `3 min 5 s`, `2 h 10 min`, `12 d 3 h`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = int(seconds // 60)
    if minutes < 60:
        return f"{minutes} min {int(seconds % 60)} s"
    hours = minutes // 60
    return f"{hours} h {minutes % 60} min" if hours < 24 else f"{hours // 24} d {hours % 24} h"


def size(count: int | None) -> str:
    """Bytes for display: `87 MB`, `12.4 GB`; `-` when unknown."""
    if count is None:
        return "-"
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def _row(child: ChildStatus, memory_of: Callable[[int], int | None]) -> tuple[str, ...]:
    running, waiting = _load(child)
    return (
        child.name,
        child.state,
        _or_dash(child.pid),
        "-" if child.uptime_s is None else duration(child.uptime_s),
        _restarts(child.restarts),
        running,
        waiting,
        size(None if child.pid is None else memory_of(child.pid)),
        child.detail or "; ".join(_notes(child)),
    )


def _notes(child: ChildStatus) -> Iterator[str]:
    """What an operator should know of a process that runs."""
    if child.fallback:
        yield f"on the {child.fallback} after GPU faults"
    model = child.health.model if child.health is not None else None
    if model is not None and model.batch_problem is not None:
        yield f"one request at a time: {model.batch_problem}"


def _model(model: ModelStatus) -> tuple[str, ...]:
    idle = duration(model.idle_s) if model.state in ("gpu", "cpu") and not model.running else "-"
    name = f"{model.name} (pinned)" if model.pinned else model.name
    counts = str(model.running), str(model.waiting)
    return (
        name,
        model.state,
        size(model.size_bytes or None),
        *counts,
        idle,
        load_progress(model.progress) or model.detail or "",
    )


def load_progress(progress: LoadProgress | None) -> str:
    """The progress of a load: `1.2 GB of 4.0 GB, 3.0 s, about 7.0 s left`."""
    if progress is None:
        return ""
    done = f"{size(progress.done_bytes)} of {size(progress.total_bytes)}, {duration(progress.seconds)}"
    return done if progress.eta_s is None else f"{done}, about {duration(progress.eta_s)} left"


def _load(child: ChildStatus) -> tuple[str, str]:
    health = child.health
    if health is not None and health.load is not None:
        return str(health.load.running), str(health.load.waiting)
    if health is not None and health.ocr is not None:
        return str(health.ocr.busy), str(health.ocr.waiting)
    return "-", "-"


def _restarts(counts: dict[str, int]) -> str:
    reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(counts.items()))
    return f"{sum(counts.values())} ({reasons})" if reasons else "0"


def _or_dash(value: int | None) -> str:
    return "-" if value is None else str(value)
