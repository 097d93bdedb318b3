"""Responses while Redis is away: those made meanwhile are kept here, others cannot be looked for (with it:
`tests/deploy/test_redis.py`)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from src.api.openai.response_store import ResponseMemory
from src.api.openai.schemas_responses import ResponseOut
from src.api.openai.shared_responses import SharedResponses
from src.errors import BackendUnavailable

_RESPONSE = ResponseOut("resp_x", 1, "demo", "completed", (), True, "auto", (), {})
_ITEM = {"id": "in_x_0", "type": "message", "role": "user", "content": "hi"}


def test_while_redis_is_away_a_response_stays_where_it_was_made() -> None:
    """Found by its owner alone, by id and by item, and deleted once."""
    store = SharedResponses("redis://127.0.0.1:1", ResponseMemory(1 << 20), 1 << 20, 60)
    store.put("alice", _RESPONSE, [_ITEM])
    found = store.get("alice", "resp_x")
    assert found is not None
    assert found.response == _RESPONSE
    assert store.item("alice", "in_x_0") == _ITEM
    assert store.owner_of("resp_x") == "alice"
    assert store.delete("alice", "resp_x")


def test_one_that_is_not_here_may_be_there() -> None:
    """Whether there is such a response is not known: an error that passes."""
    store = SharedResponses("redis://127.0.0.1:1", ResponseMemory(1 << 20), 1 << 20, 60)
    asked: tuple[Callable[[], object], ...] = (
        lambda: store.get("bob", "resp_x"),
        lambda: store.item("bob", "in_x_0"),
        lambda: store.owner_of("resp_x"),
        lambda: store.delete("bob", "resp_x"),
    )
    for ask in asked:
        with pytest.raises(BackendUnavailable) as raised:
            ask()
        assert raised.value.retry_after_s == 5


def test_one_that_is_larger_than_its_share_is_not_kept() -> None:
    store = SharedResponses("redis://127.0.0.1:1", ResponseMemory(1 << 20), 10, 60)
    store.put("alice", _RESPONSE, [])
    with pytest.raises(BackendUnavailable):
        store.get("alice", "resp_x")
