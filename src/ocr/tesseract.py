"""Tesseract, if installed: one run of the program per page, one thread. Runs in an OCR worker only.

A page is sent on standard input and the words returned as TSV; no file is written. A run is killed at its deadline and
(on Linux) when its worker exits.
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
_TURNING = "osd"  # the data for orientation detection
_GRACE = 0.95  # share of the page timeout: a slow page must not get the worker killed


class TesseractRecognizer:
    """The program, located and tested. `language`: the default for pages without one; None needs one with each."""

    name = "tesseract"

    def __init__(self, language: str | None, page_timeout_s: float) -> None:
        self._timeout_s = _GRACE * page_timeout_s
        self._program = _find()
        listed = self._run(["--list-langs"], b"", _START_S).decode(errors="replace")
        self._data = tesseract_tsv.installed(listed)
        self.installed = frozenset(line.strip() for line in listed.splitlines())
        if language is not None and language not in self._data:
            there = ", ".join(sorted(self._data)) or "none that is supported"
            raise ModelLoadFailed(
                f"OCR_LANGUAGE={language}: Tesseract's data for it is not installed; installed: {there}."
            )
        self._language = language
        # 1: find the orientation and the layout; 3: the layout alone
        self._layout = "1" if _TURNING in listed.split() else "3"
        if self._layout == "3":
            logger.warning("Tesseract's data 'osd' is not installed: rotated pages will not be read")

    @property
    def languages(self) -> frozenset[str]:
        return frozenset(self._data)

    def read(self, page: Pixels, language: str | None = None) -> Reading:
        """Raises DeadlineExceeded after OCR_PAGE_TIMEOUT."""
        return self.read_as(page, self._data[language or self._language or ""])

    def script(self, page: Pixels) -> str | None:
        """The name of the page's script, as Tesseract has it; None if it is not sure, or has no data to tell."""
        if self._layout == "3":
            return None
        picture = cv2.imencode(".ppm", page)[1].tobytes()
        try:
            said = self._run(["-", "-", "--psm", "0"], picture, self._timeout_s).decode(errors="replace")
        except RuntimeError:  # too few characters
            return None
        return tesseract_tsv.script(said)

    def read_as(self, page: Pixels, data: str) -> Reading:
        """Read with this data, of one language or of several (`rus+ukr`). Raises as `read`."""
        height, width = page.shape[:2]
        picture = cv2.imencode(".ppm", page)[1].tobytes()
        asked = ["-", "-", "-l", data, "--psm", self._layout, "tsv"]
        tsv = self._run(asked, picture, self._timeout_s).decode(errors="replace")
        return tesseract_tsv.reading(tsv, width, height)

    def _run(self, arguments: list[str], picture: bytes, timeout_s: float) -> bytes:
        """Raises DeadlineExceeded, or RuntimeError when it fails; its error output is logged only."""
        # more threads cost several times the CPU time
        environment = child_environment(OMP_THREAD_LIMIT="1")
        command = [*self._program, *arguments]
        try:
            done = subprocess.run(
                command, input=picture, capture_output=True, timeout=timeout_s, env=environment, check=False
            )
        except subprocess.TimeoutExpired:
            text = f"Tesseract took longer than {timeout_s:.0f} s for the page (OCR_PAGE_TIMEOUT)."
            raise DeadlineExceeded(text) from None
        if done.returncode:
            last = (done.stderr.decode(errors="replace").strip().splitlines() or ["no error output"])[-1]
            raise RuntimeError(f"tesseract exited with code {done.returncode}: {last}")
        return done.stdout


def _find() -> list[str]:
    """The command; on Linux through setpriv, so that it is killed with this worker."""
    program = shutil.which("tesseract")
    if program is None:
        text = "OCR_ENGINE=tesseract, but it is not installed (apt-get install tesseract-ocr, brew install tesseract)."
        raise ModelLoadFailed(text)
    binder = shutil.which("setpriv")
    return [binder, "--pdeathsig", "KILL", "--", program] if binder else [program]
