"""Tesseract, where the machine has it: one run of its program a page, one thread. Runs in an OCR worker only.

A page goes in on standard input and its words come back as a table; no file is written. A run ends with its deadline,
and (on Linux) with the worker that started it.
"""

from __future__ import annotations

import shutil
import subprocess

import cv2
from loguru import logger

from src.errors import DeadlineExceeded, ModelLoadFailed
from src.ocr import tesseract_tsv
from src.ocr.reading import Pixels, Reading
from src.settings import child_environment

_START_S = 30.0
_TURNING = "osd"  # the data with which it finds a page's orientation
_GRACE = 0.95  # of the worker's own deadline: a page too slow must not cost the worker


class TesseractRecognizer:
    """The program, found and tried. `language`: of pages that come without one."""

    name = "tesseract"

    def __init__(self, language: str, page_timeout_s: float) -> None:
        self._timeout_s = _GRACE * page_timeout_s
        self._program = _find()
        listed = self._run(["--list-langs"], b"", _START_S).decode(errors="replace")
        self._data = tesseract_tsv.installed(listed)
        if language not in self._data:
            there = ", ".join(sorted(self._data)) or "none that is known here"
            raise ModelLoadFailed(f"OCR_LANGUAGE={language}: Tesseract has no data for it; installed are: {there}.")
        self._language = language
        # 1: find the orientation and the layout; 3: the layout alone
        self._layout = "1" if _TURNING in listed.split() else "3"
        if self._layout == "3":
            logger.warning("Tesseract's data 'osd' is not installed: turned pages will not be read")

    @property
    def languages(self) -> frozenset[str]:
        return frozenset(self._data)

    def read(self, page: Pixels, language: str | None = None) -> Reading:
        """Raises DeadlineExceeded when it takes longer than OCR_PAGE_TIMEOUT."""
        height, width = page.shape[:2]
        picture = cv2.imencode(".ppm", page)[1].tobytes()
        data = self._data[language or self._language]
        asked = ["-", "-", "-l", data, "--psm", self._layout, "tsv"]
        tsv = self._run(asked, picture, self._timeout_s).decode(errors="replace")
        return tesseract_tsv.reading(tsv, width, height)

    def _run(self, arguments: list[str], picture: bytes, timeout_s: float) -> bytes:
        """Raises DeadlineExceeded, or RuntimeError when it fails; what it complains of stays in the log."""
        # with more threads than one it takes several times the CPU-seconds
        environment = child_environment(OMP_THREAD_LIMIT="1")
        command = [*self._program, *arguments]
        try:
            done = subprocess.run(
                command, input=picture, capture_output=True, timeout=timeout_s, env=environment, check=False
            )
        except subprocess.TimeoutExpired:
            text = f"Tesseract took longer than {timeout_s:.0f} s over the page (OCR_PAGE_TIMEOUT)."
            raise DeadlineExceeded(text) from None
        if done.returncode:
            last = (done.stderr.decode(errors="replace").strip().splitlines() or ["it said nothing"])[-1]
            raise RuntimeError(f"tesseract ended with {done.returncode}: {last}")
        return done.stdout


def _find() -> list[str]:
    """How it is started: on Linux, so that it is killed when this worker is."""
    program = shutil.which("tesseract")
    if program is None:
        text = "OCR_ENGINE=tesseract, but it is not installed (apt-get install tesseract-ocr, brew install tesseract)."
        raise ModelLoadFailed(text)
    binder = shutil.which("setpriv")
    return [binder, "--pdeathsig", "KILL", "--", program] if binder else [program]
