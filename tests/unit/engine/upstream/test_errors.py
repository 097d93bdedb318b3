"""What servers' refusals mean: bodies as vLLM, llama-server, llama_cpp.server and FastAPI write them."""

from __future__ import annotations

import json

import pytest

from src.engine.upstream.errors import from_event, from_status


@pytest.mark.parametrize(
    ("status", "body", "code", "param"),
    [
        # vLLM 0.32
        (
            400,
            {
                "error": {
                    "message": "This model's maximum context length is 2048 tokens. However, …",
                    "param": "input_text",
                }
            },
            "context_length_exceeded",
            "messages",
        ),
        (
            400,
            {"error": {"message": '"auto" tool choice requires --enable-auto-tool-choice'}},
            "invalid_value",
            "tools",
        ),
        # llama-server
        (
            400,
            {"error": {"code": 400, "message": "request (11 tokens) exceeds …", "type": "exceed_context_size_error"}},
            "context_length_exceeded",
            "messages",
        ),
        (
            400,
            {"error": {"code": 400, "message": "Field 'n_cmpl': Value must be between 1 <= value <= 4"}},
            "invalid_value",
            "n",
        ),
        # llama_cpp.server
        (
            400,
            {
                "error": {
                    "message": "Requested tokens (9) exceed context window of 8",
                    "code": "context_length_exceeded",
                }
            },
            "context_length_exceeded",
            "messages",
        ),
        # another Stoker
        (
            400,
            {"error": {"message": "no", "param": "tools", "code": "unsupported_value"}},
            "unsupported_value",
            "tools",
        ),
        # FastAPI
        (422, {"detail": [{"loc": ["body", "n"], "msg": "Input should be less"}]}, "invalid_value", None),
        (401, {"error": "Unauthorized"}, "backend_unavailable", None),
        (404, {"error": {"message": "The model `x` does not exist."}}, "backend_unavailable", None),
        (503, {"error": {"message": "Loading model"}}, "backend_unavailable", None),
        (500, {"error": {"message": "CUDA error at /root/x"}}, "internal_error", None),
    ],
)
def test_refusals(status: int, body: object, code: str, param: str | None) -> None:
    """The client's fault keeps the server's words and gets our names; the server's fault keeps neither."""
    error = from_status(status, json.dumps(body).encode(), None)
    assert (error.code, error.param) == (code, param)
    assert "/root" not in error.message


def test_waiting() -> None:
    """How long, if the server says; a guess if not."""
    assert from_status(429, b"", "3").retry_after_s == 3
    assert from_status(429, b"", "9" * 400).retry_after_s == 3600
    assert from_status(503, b"<html>", "soon").retry_after_s == 5


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (b'{"message":"bad","code":400}', "invalid_value"),
        (b'{"message":"bad","type":"invalid_request_error"}', "invalid_value"),
        (b'{"message":"dead","code":500}', "internal_error"),
        (b'"a word"', "internal_error"),
    ],
)
def test_errors_in_a_stream(error: bytes, code: str) -> None:
    """They carry their status in themselves, if anywhere."""
    assert from_event(error).code == code
