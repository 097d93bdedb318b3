"""Errors in Anthropic's words, and its pages of models."""

from __future__ import annotations

import pytest

from src.api.anthropic import models
from src.api.anthropic_errors import envelope
from src.errors import (
    AuthenticationFailed,
    BackendUnavailable,
    ContextLengthExceeded,
    DeadlineExceeded,
    InternalError,
    InvalidRequest,
    ModelNotFound,
    Overloaded,
    PayloadTooLarge,
    ServiceError,
)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (InvalidRequest("x"), "invalid_request_error"),
        (AuthenticationFailed("x"), "authentication_error"),
        (ModelNotFound("x"), "not_found_error"),
        (PayloadTooLarge("x"), "request_too_large"),
        (Overloaded("x"), "rate_limit_error"),
        (InternalError(), "api_error"),
        (BackendUnavailable("x"), "overloaded_error"),
        (DeadlineExceeded("x"), "timeout_error"),
    ],
)
def test_a_type_for_every_status(error: ServiceError, kind: str) -> None:
    made = envelope(error, "r1")
    assert (made.type, made.error.type, made.error.message, made.request_id) == ("error", kind, error.message, "r1")


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            "The prompt has 57 tokens and max_tokens asks for 32000; the model's context is 8192.",
            "input length and `max_tokens` exceed context limit: 57 + 32000 > 8192",
        ),
        (
            "The prompt has 9000 tokens; the model's context is 8192, and an answer needs at least one.",
            "prompt is too long: 9000 tokens > 8192 maximum",
        ),
        (
            "The text has 99 bytes, the first of them more than 128 tokens; the model's context is 64.",
            "prompt is too long: 128 tokens > 64 maximum",
        ),
        (
            "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens",
            "prompt is too long: 5000 tokens > 4096 maximum",
        ),
        (
            "the request (9000 tokens) exceeds the available context size (4096 tokens), try increasing it",
            "prompt is too long: 9000 tokens > 4096 maximum",
        ),
        ("Too much.", "prompt is too long: Too much."),
    ],
)
def test_texts_by_which_an_agent_heals_itself(said: str, told: str) -> None:
    assert envelope(ContextLengthExceeded(said)).error.message.startswith(told)


def test_pages_of_models() -> None:
    """By id, forwards and backwards."""
    every = [models.model(name, 0, 100) for name in "abcde"]
    first = models.page(every, "2", None, None)
    assert ([one.id for one in first.data], first.has_more) == (["a", "b"], True)
    behind = models.page(every, "3", first.last_id, None)
    assert ([one.id for one in behind.data], behind.has_more) == (["c", "d", "e"], False)
    before = models.page(every, "2", None, "d")
    assert ([one.id for one in before.data], before.has_more) == (["b", "c"], True)
    assert models.page([], None, None, None).first_id is None
    assert every[0].created_at == "1970-01-01T00:00:00Z"
    for wrong in ("0", "1001", "x", "-1"):
        with pytest.raises(InvalidRequest):
            models.page(every, wrong, None, None)
