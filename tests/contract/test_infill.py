"""`suffix` on /v1/completions: filling in the middle with a model's own marks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from src.engine.mlx.text import infill
from tests.contract.conftest import Service
from tests.contract.test_openai import start

MARK = "<|im_end|>"


@pytest.fixture(scope="module")
def mlx(random_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    yield from start("mlx", random_model, tmp_path_factory)


def test_the_models_own_marks(mlx: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """The prompt is prefix and suffix between the marks: the same answer as for that text."""
    monkeypatch.setattr(infill, "MARKS", (("<no>", "<such>", "<marks>"), (MARK, MARK, MARK)))
    fields = {"temperature": 0, "max_tokens": 6}
    filled = mlx.http.post("/v1/completions", json={"prompt": "def a", "suffix": "return b", **fields}).json()
    plain = mlx.http.post("/v1/completions", json={"prompt": f"{MARK}def a{MARK}return b{MARK}", **fields}).json()
    assert filled["choices"] == plain["choices"]
    assert filled["usage"]["prompt_tokens"] == plain["usage"]["prompt_tokens"]


@pytest.mark.parametrize("fields", [{}, {"prompt": [1, 2]}, {"echo": True}])
def test_a_model_without_marks(fields: dict[str, object], mlx: Service, service: Service) -> None:
    """Named, by every engine; an empty suffix asks for nothing."""
    for each in (mlx, service):
        refused = each.http.post("/v1/completions", json={"prompt": "a", "suffix": "b", **fields})
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "suffix")
        assert each.http.post("/v1/completions", json={"prompt": "a", "suffix": "", "max_tokens": 1}).status_code == 200
