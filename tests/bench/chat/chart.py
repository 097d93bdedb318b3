"""The scaling curves as a picture: output tokens a second by streams, a line for each server and for the limit."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


def draw(rates: Iterable[tuple[str, int, float]], file: Path) -> None:
    """`rates`: server, streams, tokens a second."""
    import matplotlib as mpl  # heavy, and only this needs it

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    curves: dict[str, list[tuple[int, float]]] = {}
    for name, streams, rate in rates:
        curves.setdefault(name, []).append((streams, rate))
    figure, axes = plt.subplots(figsize=(7, 4.5))
    for name, points in curves.items():
        style = {"color": "0.6", "linestyle": "--"} if name == "limit" else {"marker": "o"}
        axes.plot(*zip(*sorted(points), strict=True), label=name, **style)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlabel("streams")
    axes.set_ylabel("output tokens/s")
    axes.set_title("75 prompt + 64 output tokens, 40M parameters, fp32")
    if curves:
        axes.legend()
    axes.grid(visible=True, alpha=0.3)
    figure.tight_layout()
    figure.savefig(str(file), dpi=120)
    plt.close(figure)
