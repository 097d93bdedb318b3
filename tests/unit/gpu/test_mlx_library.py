"""MLX's compiled library against who claims it: the CPU's and CUDA's wheels own the same file."""

from __future__ import annotations

import pytest

from src.gpu.mlx_library import Library, Owner, driver_problem, examine, judge

CPU, CUDA = Owner("mlx-cpu", "0.32.4", 21), Owner("mlx-cuda-13", "0.32.4", 900)


@pytest.mark.parametrize(
    ("owners", "found", "mlx", "name", "said"),
    [
        ([CPU], 21, "0.32.4", "mlx-cpu 0.32.4", ""),
        ([], None, None, None, ""),
        ([], None, "0.32.4", None, "Run: make venv"),
        ([CPU, CUDA], 21, "0.32.4", "mlx-cpu 0.32.4", "Run: make venv CUDA=13 or make venv CUDA="),
        ([CPU, CUDA], 5, "0.32.4", None, "the one loaded is neither"),
        ([CUDA], 21, "0.32.4", None, "--force-reinstall --no-deps mlx-cuda-13==0.32.4"),
        ([CUDA], None, "0.32.4", None, "--force-reinstall"),
        ([CUDA], 900, "0.33.0", "mlx-cuda-13 0.32.4", "Run: make venv CUDA=13"),
    ],
)
def test_the_library_is_that_of_the_one_who_claims_it(
    owners: list[Owner], found: int | None, mlx: str | None, name: str | None, said: str
) -> None:
    """Otherwise both are named, with the command that mends it."""
    library = judge(owners, found, mlx)
    assert library.name == name
    assert said in (library.problem or "")
    assert (library.problem is None) == (said == "")


def test_the_library_here_is_whole() -> None:
    """The environment of the tests has one build of MLX, as its wheel wrote it."""
    library = examine()
    assert library == Library(library.name)
    assert library.name is not None


@pytest.mark.parametrize(
    ("library", "driver", "said"),
    [
        ("mlx-cuda-13 0.32.4", "580.65.06", None),
        (
            "mlx-cuda-13 0.32.4",
            "570.1",
            "older than 580, which mlx-cuda-13 0.32.4 needs. Update it, or: make venv CUDA=12",
        ),
        ("mlx-cuda-13 0.32.4", "535.1", "Update it"),
        ("mlx-cuda-12 0.32.4", "550.54.14", None),
        ("mlx-cuda-12 0.32.4", "550.40", "older than 550.54"),
        ("mlx-cpu 0.32.4", "400.1", None),
        ("mlx-cuda-13 0.32.4", None, None),
        (None, "400.1", None),
    ],
)
def test_a_driver_that_is_too_old_is_named(library: str | None, driver: str | None, said: str | None) -> None:
    found = driver_problem(library, driver)
    assert (found is None) == (said is None)
    assert (said or "") in (found or "")
