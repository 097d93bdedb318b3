"""The BLAS that is loaded before MLX: which one, and what happens without any."""

from __future__ import annotations

import ctypes
import importlib.util
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from src.gpu import blas


class Loader:
    """Stands in for ctypes.CDLL: loads what it is told exists."""

    def __init__(self, *good: Path) -> None:
        self.good = {str(path) for path in good}
        self.tried: list[tuple[str, int]] = []

    def __call__(self, path: str, mode: int) -> None:
        self.tried.append((path, mode))
        if path not in self.good:
            raise OSError("no such file")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with a system library under `system/` and an opencv wheel under `site/`."""
    for name in ("system/a/libopenblas.so.0", "site/opencv_python_headless.libs/libopenblas-r0.so"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    origin = tmp_path / "site" / "cv2" / "__init__.py"
    pattern = f"{tmp_path}/system/*/libopenblas.so.0"
    monkeypatch.setattr(blas, "_SYSTEM", (pattern,))
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: ModuleSpec("cv2", None, origin=str(origin)))
    monkeypatch.setattr(sys, "platform", "linux")
    return tmp_path


def test_the_systems_library_comes_first(folder: Path) -> None:
    """What the distribution installed is preferred to what happens to be inside a wheel."""
    names = [str(path.relative_to(folder)) for path in blas.candidates()]
    assert names == ["system/a/libopenblas.so.0", "site/opencv_python_headless.libs/libopenblas-r0.so"]


@pytest.mark.usefixtures("folder")
def test_without_opencv_there_is_no_wheel_to_look_into(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wheel's library is a detail nobody promised: it may be missing."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert [path.name for path in blas.candidates()] == ["libopenblas.so.0"]


def test_its_symbols_are_global(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a library whose symbols are global takes the reference BLAS' place; the answer names it."""
    wanted = folder / "system/a/libopenblas.so.0"
    loader = Loader(wanted)
    monkeypatch.setattr(ctypes, "CDLL", loader)
    assert blas.preload() == f"{wanted.name} ({wanted.parent})"
    assert loader.tried == [(str(wanted), ctypes.RTLD_GLOBAL)]


def test_a_library_that_does_not_load_is_passed_over(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broken one is no reason to give up."""
    second = folder / "site/opencv_python_headless.libs/libopenblas-r0.so"
    loader = Loader(second)
    monkeypatch.setattr(ctypes, "CDLL", loader)
    assert blas.preload() == f"{second.name} ({second.parent})"
    assert len(loader.tried) == 2


def test_the_operators_choice_is_the_only_one_tried(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """BLAS_LIBRARY is not second-guessed."""
    wanted = folder / "mine.so"
    loader = Loader(wanted)
    monkeypatch.setattr(ctypes, "CDLL", loader)
    assert blas.preload(wanted) == f"{wanted.name} ({wanted.parent})"
    assert [path for path, _ in loader.tried] == [str(wanted)]


@pytest.mark.usefixtures("folder")
def test_without_any_the_service_still_works(monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer says that it is slow, and what helps."""
    monkeypatch.setattr(ctypes, "CDLL", Loader())
    assert blas.preload() == blas.REFERENCE
    assert "libopenblas0-pthread" in blas.REFERENCE


def test_a_mac_needs_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """MLX uses Accelerate there."""
    monkeypatch.setattr(sys, "platform", "darwin")
    assert blas.preload() is None
