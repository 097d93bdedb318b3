"""`make eval-ocr`: what OCR reads wrong, what it costs beside RapidOCR, and whether a vision model really reads.

Through HTTP, as a client would. CPU-seconds are the worker's own: wall times depend on what else the machine does.
"""

from __future__ import annotations

import multiprocessing
import platform
import re
import sys
import time
import unicodedata
from pathlib import Path
from statistics import median

import httpx
import numpy as np
import psutil

from tests.bench import ocr_kinds, ocr_pages, structure_eval
from tests.bench.ocr_pages import Page
from tests.running import Running, service

_WORDS = 200
_FOLDED = str.maketrans("，。：；！？（）’‘“”–—", ",.:;!?()''\"\"--")


def main() -> None:
    pages = ocr_pages.all_pages()
    out = sys.stdout
    out.write(f"{platform.platform()}, {psutil.cpu_count()} cores, load {psutil.getloadavg()[0]:.1f}\n\n")
    plain = _defaults(pages)
    with service(inference_engine="fake", ocr_workers=1) as running:
        out.write(
            "| Page | Characters wrong at 0°, 90°, 180°, 270° | Wanted | CPU-s | RapidOCR's defaults: wrong, CPU-s |\n"
        )
        out.write("|---|---|---|---|---|\n")
        shares = [_row(running, page, *plain[page.name]) for page in pages]
        out.write(
            f"\nCPU-seconds, median of the pages' shares of the defaults': {median(shares):.0%} (wanted ≤ 60 %)\n"
        )
        ocr_kinds.report(running.url)
        out.write(f"Peak memory of the worker: {_peak_mb(_worker(running).pid)} MB (wanted ≤ 700)\n")
        structure_eval.report(running.url, lambda: _cpu_s(running), out)
        out.write(f"Peak memory with layout and tables: {_peak_mb(_worker(running).pid)} MB (wanted ≤ 850)\n")
    with service(inference_engine="fake", ocr_workers=1, ocr_engine="mlx_vlm", ocr_model="ocr-tiny") as running:
        right, ms = _words(running)
        out.write(f"Vision model: {right} of {_WORDS} fresh words right (wanted ≥ 95 %), {ms:.0f} ms each\n")


def _row(running: Running, page: Page, plain_wrong: float, plain_cpu_s: float) -> float:
    """One line of the table; the share of the defaults' CPU-seconds."""
    wrong, cpu_s = [], 0.0
    for rotation in (0, 90, 180, 270):
        turned = Page(page.name, page.text, page.image.rotate(rotation, expand=True), page.limit)
        before = _cpu_s(running)
        answer = httpx.post(f"{running.url}/v1/ocr", files={"file": turned.png()}, timeout=120).json()
        cpu_s = cpu_s or _cpu_s(running) - before
        wrong.append(error_rate(page.text, answer["text"]))
    shown = ", ".join(f"{100 * share:.2f}" for share in wrong)
    mark = "" if max(wrong) <= page.limit else " **missed**"
    defaults = f"{100 * plain_wrong:.2f} %, {plain_cpu_s:.1f}"
    sys.stdout.write(f"| {page.name} | {shown} %{mark} | ≤ {100 * page.limit:g} % | {cpu_s:.1f} | {defaults} |\n")
    sys.stdout.flush()
    return cpu_s / plain_cpu_s


def _words(running: Running) -> tuple[int, float]:
    from training.ocr_tiny import words

    dice, right, began = np.random.default_rng(int(time.time())), 0, time.monotonic()
    for _ in range(_WORDS):
        text, image = words.sample(dice)
        reply = httpx.post(f"{running.url}/v1/ocr", files={"file": Page("", "", image, 0).png()}, timeout=60).json()
        right += reply["text"] == text and not reply["pages"][0]["fallback"]
    return right, 1000 * (time.monotonic() - began) / _WORDS


# ---- RapidOCR as its README calls it


def _defaults(pages: list[Page]) -> dict[str, tuple[float, float]]:
    """Characters wrong and CPU-seconds by page, in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return {page.name: pool.apply(_read_plainly, (page.png(), page.text)) for page in pages}


_plain: list[object] = []


def _read_plainly(png: bytes, text: str) -> tuple[float, float]:
    from rapidocr import RapidOCR

    if not _plain:
        _plain.append(RapidOCR())
        _plain[0](ocr_pages.receipt().png())  # type: ignore[operator]  # loads the models
    began = time.process_time()
    result = _plain[0](png)  # type: ignore[operator]
    spent = time.process_time() - began
    return error_rate(text, "\n".join(result.txts or ())), spent


# ---- measures


def error_rate(wanted: str, got: str) -> float:
    """Edits per character, after NFKC, folding of punctuation, and without regard to white space's kind."""
    a, b = _normal(wanted), _normal(got)
    row = np.arange(len(b) + 1)
    codes = np.frombuffer(b.encode("utf-32-le"), np.uint32)
    for at, symbol in enumerate(a, 1):
        best = np.minimum(row[1:] + 1, row[:-1] + (codes != ord(symbol)))
        new = np.concatenate(([at], best))
        row = np.minimum.accumulate(new - np.arange(len(new))) + np.arange(len(new))
    return float(row[-1]) / max(1, len(a))


def _normal(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text).translate(_FOLDED)
    return re.sub(r"\s+", " ", folded).strip()


def _worker(running: Running) -> psutil.Process:
    children = psutil.Process(running.pid("ocr")).children()
    return next(child for child in children if "spawn_main" in " ".join(child.cmdline()))


def _cpu_s(running: Running) -> float:
    times = _worker(running).cpu_times()
    return float(times.user + times.system)


def _peak_mb(pid: int) -> int:
    """Linux only; 0 elsewhere."""
    status = Path(f"/proc/{pid}/status")
    found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text()) if status.exists() else None
    return int(found[1]) * 1024 // 10**6 if found else 0


if __name__ == "__main__":
    main()
