"""`run.py ocr`: a folder is read and can be gone on with; exit codes and the console tell what was not."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from src.ocr.fake import draw
from src.ocr_files import BatchProgress
from src.settings import ROOT
from tests.unit.ocr import files


def read(*arguments: str) -> subprocess.CompletedProcess[str]:
    """With no service running: it brings its own pool."""
    environment = os.environ | {"OCR_ENGINE": "fake", "RUNTIME_DIR": str(ROOT / "no-such-service"), "OCR_WORKERS": "1"}
    command = [sys.executable, "run.py", "ocr", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    scans = tmp_path / "scans"
    (scans / "sub").mkdir(parents=True)
    (scans / "a.png").write_bytes(draw("text=first"))
    (scans / "sub" / "b.pdf").write_bytes(files.pdf(["The north pier is closed"]))
    (scans / "notes.txt").write_text("no image")
    return scans


def test_a_folder_is_read_and_resumed(folder: Path, tmp_path: Path) -> None:
    """Its shape is kept, other files are passed over; a second run reads only what is missing."""
    out = tmp_path / "out"
    done = read(str(folder), "-o", str(out))
    assert (done.returncode, done.stderr) == (0, "")
    assert (out / "a.png.txt").read_text() == "first\n"
    assert (out / "sub" / "b.pdf.txt").read_text() == "The north pier is closed\n"
    assert len([path for path in out.rglob("*") if path.is_file()]) == 2
    (out / "a.png.txt").unlink()
    again = read(str(folder), "-o", str(out))
    assert (again.returncode, again.stderr) == (0, "1 files already have output\n")
    assert (out / "a.png.txt").exists()


def test_what_cannot_be_read_is_named(folder: Path) -> None:
    """The others are read, on standard output; the exit code says that one was not."""
    bad = folder / "bad.pdf"
    bad.write_bytes(files.encrypted_pdf())
    done = read(str(folder / "a.png"), str(bad), str(folder / "missing.png"))
    assert (done.returncode, done.stdout) == (1, "first\n")
    assert "bad.pdf: The PDF is encrypted" in done.stderr
    assert "missing.png: No such file" in done.stderr


@pytest.mark.parametrize("wrong", [["--format", "docx"], ["--pages", "9-2"], ["--dpi", "9999"], ["--format", "pdf"]])
def test_wrong_wishes_are_refused_at_once(folder: Path, wrong: list[str]) -> None:
    """Before anything is started."""
    done = read(str(folder), *wrong)
    assert done.returncode == 1
    assert done.stderr.strip()
    assert "Traceback" not in done.stderr


def test_a_terminal_gets_a_bar_and_problems_above_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files, pages, and a line of its own for what could not be read."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    progress = BatchProgress(2)
    progress.page()
    progress.file()
    progress.file("b.pdf: The PDF is encrypted.")
    progress.close()
    shown = terminal.getvalue()
    assert "1/2" in shown
    assert "b.pdf: The PDF is encrypted.\n" in shown
    assert "2/2" in shown.split("\r")[-1]
    assert "pages=1" in shown.split("\r")[-1]
    assert progress.failed == ["b.pdf: The PDF is encrypted."]
