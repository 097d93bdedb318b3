"""The scaling curves as a picture: output tokens a second by streams, a line for each server and for the limit."""

from __future__ import annotations

import re
import statistics
from pathlib import Path


def draw(rates: dict[tuple[str, str], list[float]], file: Path) -> None:
    """`rates`: (workload, server) → rounds; only the uniform workloads are curves."""
    import matplotlib as mpl  # heavy, and only this needs it

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    curves: dict[str, list[tuple[int, float]]] = {}
    for (work, name), rounds in rates.items():
        if found := re.fullmatch(r"(\d+) streams?, 75 \+ 64", work):
            curves.setdefault(name, []).append((int(found[1]), statistics.median(rounds)))
    figure, axes = plt.subplots(figsize=(7, 4.5))
    for name, points in curves.items():
        style = {"color": "0.6", "linestyle": "--"} if name == "limit" else {"marker": "o"}
        axes.plot(*zip(*sorted(points), strict=True), label=name, **style)
    axes.set_xscale("log", base=2)
    axes.set_xlabel("streams")
    axes.set_ylabel("output tokens/s")
    axes.set_title("75 prompt + 64 output tokens, 40M parameters, fp32")
    axes.legend()
    axes.grid(visible=True, alpha=0.3)
    figure.tight_layout()
    figure.savefig(str(file), dpi=120)
    plt.close(figure)
