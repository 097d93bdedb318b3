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
from tests.unit.api.conftest import MakeApp


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


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/v1/messages", "/messages", "/v1//messages/"])
@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "invalid_request_error"),
        ({"model": "nobody"}, "not_found_error"),
        ({"max_tokens": "five"}, "invalid_request_error"),
        ({}, "overloaded_error"),  # no engine runs
    ],
)
def test_every_error_begins_with_its_type(path: str, body: dict[str, object], kind: str, make_app: MakeApp) -> None:
    """In every spelling of the route; a hosted tool alone is one of them."""
    whole = {"model": "demo", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]} | body
    reply = make_app().test_client().open("/", method="POST", environ_overrides={"PATH_INFO": path}, json=whole)
    assert reply.text.startswith('{"type":"error","error":{'), reply.text
    assert reply.get_json()["error"]["type"] == kind


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v1/messages", 405), ("POST", "/v1/messages", 415), ("POST", "/v1/messages/batches", 404)],
)
def test_errors_before_the_view_are_anthropics_too(method: str, path: str, status: int, make_app: MakeApp) -> None:
    """Wrong method, wrong content type, no such route; without a key as well."""
    reply = make_app().test_client().open(path, method=method, data=b"x")
    assert (reply.status_code, reply.text[:26]) == (status, '{"type":"error","error":{"')
    closed = make_app(api_keys=f"alice:user:{'a' * 20}").test_client().open(path, method=method)
    assert (closed.status_code, closed.text[:26]) == (401, '{"type":"error","error":{"')


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
