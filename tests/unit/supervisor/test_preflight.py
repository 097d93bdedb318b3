"""`check`'s findings that no other machine than this one's could show."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from src.settings import Settings
from src.supervisor import preflight


def test_a_library_that_does_not_load_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As OpenCV's build for desktops where there is no libGL: its package is there all the same."""
    package = tmp_path / "broken_cv"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "broken_cv.abi3.so").write_bytes(b"no library")
    monkeypatch.syspath_prepend(tmp_path)
    said = preflight.library_problem("broken_cv")
    assert said is not None
    assert "broken_cv.abi3.so" in said
    assert preflight.library_problem("cv2") is None
    assert preflight.library_problem("no_such_package") is None


def test_opencv_that_does_not_load_is_a_problem_with_what_to_run(
    make_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "library_problem", lambda package: f"libGL.so.1 for {package}: cannot open")
    found = preflight._ocr(make_settings(ocr_engine="rapidocr"))
    assert found.problem is not None
    assert "libGL.so.1 for cv2" in found.problem
    assert "opencv-python-headless" in found.problem


@pytest.mark.parametrize(("chosen", "problem"), [({}, False), ({"models_dir": "/nonexistent/models"}, True)])
def test_only_a_folder_of_models_that_was_chosen_must_exist(
    chosen: dict[str, str],
    problem: bool,
    make_settings: Callable[..., Settings],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An installed package has none until something is pulled; the shipped models are found without it."""
    monkeypatch.setenv("STOKER_HOME", str(tmp_path))
    (models,) = [one for one in preflight._folders(make_settings(**chosen)) if one.label == "models"]
    assert (models.problem is not None) == problem


def test_traces_need_their_packages(make_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is said where none are asked for; a password in the collector's URL is not shown."""
    assert list(preflight._traces(make_settings())) == []
    settings = make_settings(otel_exporter_otlp_endpoint="http://ann:secret@127.0.0.1:4318")
    assert [found.problem for found in preflight._traces(settings)] == [None]
    monkeypatch.setattr(preflight, "_OTEL_PACKAGES", ("no-such-package",))
    (found,) = preflight._traces(settings)
    assert found.problem is not None
    assert "requirements-otel.txt" in found.problem
    assert "secret" not in found.value
