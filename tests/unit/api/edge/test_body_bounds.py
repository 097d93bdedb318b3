"""The bounds of a JSON body's parts."""

from __future__ import annotations

import pytest

from src.api.anthropic.schemas import MessagesRequest
from src.api.body import check_items, check_parts
from src.api.openai.schemas import ChatCompletionRequest
from src.api.openai.schemas_responses import ResponsesRequest
from src.errors import InvalidRequest
from src.settings import SecuritySettings

_LIMITS = SecuritySettings(max_messages=4, max_content_parts=3, max_tools=2, max_schema_kb=1)


def nested(levels: int) -> object:
    value: object = {}
    for _ in range(levels):
        value = {"properties": value}
    return value


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"messages": [{}] * 5}, "messages"),
        ({"messages": [{"content": "a"}, {"content": ["x"] * 4}]}, "messages[1].content"),
        ({"tools": [{}] * 3}, "tools"),
        ({"functions": [{}] * 3}, "functions"),
        ({"logit_bias": {str(n): 1 for n in range(1025)}}, "logit_bias"),
        ({"response_format": {"schema": "x" * 2000}}, "response_format"),
        ({"tools": [{}, {"parameters": "x" * 2000}]}, "tools[1]"),
        ({"response_format": nested(10_000)}, "response_format"),
    ],
)
def test_what_is_too_large_is_refused_by_name(body: dict[str, object], param: str) -> None:
    """A list, schema or nesting beyond its bound is a 400 that names the field."""
    with pytest.raises(InvalidRequest) as caught:
        check_parts(body, _LIMITS)
    assert caught.value.param == param


def test_a_setting_above_the_default_has_its_effect() -> None:
    """No schema behind the bounds has a smaller bound of its own: 3,000 turns, 200 tools, 1,000 biases pass."""
    turns = [{"role": "user", "content": "a"}] * 3000
    tools = [{"type": "function", "function": {"name": f"f{at}"}} for at in range(200)]
    body = {"messages": turns, "tools": tools, "logit_bias": {str(at): 1 for at in range(1000)}}
    check_parts(body, SecuritySettings(max_messages=3000, max_tools=200))
    read = ChatCompletionRequest.model_validate(body)
    assert (len(read.messages), len(read.tools or ())) == (3000, 200)
    named = [{"name": f"f{at}", "input_schema": {}} for at in range(200)]
    own = {"model": "m", "max_tokens": 1, "messages": turns, "tools": named}
    assert len(MessagesRequest.model_validate(own).messages) == 3000
    items = [{"role": "user", "content": "a"}] * 6000
    check_items(items, SecuritySettings(max_messages=3000))
    assert len(ResponsesRequest.model_validate({"input": items}).input) == 6000
    with pytest.raises(InvalidRequest, match="MAX_MESSAGES"):
        check_items(items, SecuritySettings(max_messages=2999))


def test_what_fits_passes() -> None:
    """Bodies within their bounds, or of wrong types (the schema's business), are not touched."""
    assert check_parts({"messages": [{"content": ["x"] * 3}] * 4, "tools": [{}] * 2}, _LIMITS) is None  # type: ignore[func-returns-value]
    assert check_parts({"messages": "x" * 99, "tools": 7, "response_format": nested(20)}, _LIMITS) is None  # type: ignore[func-returns-value]
