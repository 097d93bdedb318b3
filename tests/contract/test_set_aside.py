"""What an engine sets aside is named with every answer: a new one, a kept one, and one that was made for another."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from src.api.service import EXTENSION
from tests.contract.conftest import Service, StartService


@pytest.fixture
def service(start_service: StartService) -> Service:
    """With a cache that knows the engine's revision, as the supervisor tells it."""
    started = start_service(enable_caching=True, max_model_len=512)
    started.app.extensions[EXTENSION].cache._revision = lambda _: "fake"
    return started


@pytest.mark.parametrize("stream", [False, True])
def test_a_kept_answer_discloses_what_a_new_one_does(service: Service, *, stream: bool) -> None:
    """`max_tokens` beyond the context is cut by the engine, which a kept answer never asks."""
    said = []
    for _ in range(2):
        reply = service.chat("hello", temperature=0, max_tokens=9000, stream=stream, verbosity="low")
        said.append((reply.headers["X-Cache"], set(reply.headers["X-Ignored-Fields"].split(", "))))
    assert said == [("miss", {"verbosity", "max_tokens"}), ("hit", {"verbosity", "max_tokens"})]
    assert "X-Ignored-Fields" not in service.chat("hello", temperature=0, max_tokens=9).headers


def test_an_answer_that_is_made_for_another_does_so_too(service: Service) -> None:
    with ThreadPoolExecutor(2) as crowd:
        text = "fake:delay=0.02 hello"
        asked = [crowd.submit(service.chat, text, temperature=0, max_completion_tokens=9000) for _ in range(2)]
        heads = [one.result().headers for one in asked]
    assert sorted(head["X-Cache"] for head in heads) == ["hit", "miss"]
    assert [head["X-Ignored-Fields"] for head in heads] == ["max_completion_tokens"] * 2
