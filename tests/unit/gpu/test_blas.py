"""The BLAS that is loaded before MLX: which one, and what happens without any."""

from __future__ import annotations

import _ctypes
import ctypes
import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from src.gpu import blas
from src.settings import ROOT
from src.settings.surroundings import chosen_blas_core


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
    blas._load.cache_clear()
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


AVX2 = ("sse4_2", "avx", "avx2", "fma")
AVX512 = (*AVX2, "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl", "amx_tile")


@pytest.mark.parametrize(
    ("core", "flags", "better"),
    [
        ("Prescott", AVX512, "SkylakeX"),  # OpenBLAS 0.3.15 on a Sapphire Rapids
        ("Prescott", AVX2, "Haswell"),
        ("Barcelona", AVX2, "Haswell"),
        ("Prescott", ("sse4_2", "avx"), None),  # it is one
        ("Zen", AVX512, None),
        ("SapphireRapids", AVX512, None),
        ("neoversen1", (), None),
        ("", AVX512, None),  # no OpenBLAS
    ],
    ids=str,
)
def test_a_processor_newer_than_the_library(core: str, flags: tuple[str, ...], better: str | None) -> None:
    """It would be taken for a very old one, and computed for several times slower."""
    assert blas.better_core(core, flags) == better


class Library:
    """An OpenBLAS that decides by the environment, as it is loaded."""

    _handle = 0

    def __init__(self) -> None:
        self.core = (chosen_blas_core() or "Prescott").encode()

    @property
    def openblas_get_corename(self) -> Callable[[], bytes]:
        return lambda: self.core


def test_it_is_loaded_again_and_nobody_else_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that are started later decide for themselves; an operator's choice stays."""
    closed: list[int] = []
    cpuinfo = folder / "cpuinfo"
    cpuinfo.write_text(f"processor : 0\nflags\t\t: {' '.join(AVX512)}\n")
    monkeypatch.setattr(blas, "_CPUINFO", cpuinfo)
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: Library())
    monkeypatch.setattr(_ctypes, "dlclose", closed.append)
    monkeypatch.delenv("OPENBLAS_CORETYPE", raising=False)
    told = blas.preload()
    assert told is not None
    assert told.endswith("; told to compute for SkylakeX)")
    assert blas.preload() == told  # the second time it is right as it is, and called the same
    assert (closed, chosen_blas_core()) == ([0], None)
    blas._load.cache_clear()
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    assert "told" not in str(blas.preload())
    assert (closed, chosen_blas_core()) == ([0], "Haswell")


@pytest.mark.skipif(sys.platform != "linux", reason="MLX uses Accelerate elsewhere")
def test_the_one_that_is_installed_knows_this_processor() -> None:
    """In a process of its own: what computes here uses AVX2 where there is any."""
    code = "from src.gpu import blas; print(blas.preload()); import ctypes, sys; " + _ASK
    environment = {key: value for key, value in os.environ.items() if key != "OPENBLAS_CORETYPE"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=True)
    core = done.stdout.splitlines()[-1]
    assert blas.better_core(core, Path("/proc/cpuinfo").read_text().split()) is None, done.stdout


_ASK = (
    "name = getattr(ctypes.CDLL(None), 'openblas_get_corename', None); "
    "name and setattr(name, 'restype', ctypes.c_char_p); print(name().decode() if name else '')"
)
