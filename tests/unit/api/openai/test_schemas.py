"""Request bodies: what is wrong is named. (test_fields has what is set aside and what is refused.)"""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from src.api.error_handlers import from_validation
from src.api.openai.schemas import ChatCompletionRequest, Labels

HELLO = [{"role": "user", "content": "hello"}]

# per field of chat's that is refused, a value that asks for something
ASKING: dict[str, Any] = {
    "modalities": ["text", "audio"],
    "audio": {"voice": "alloy"},
    "web_search_options": {},
    "moderation": {"model": "omni"},
    "min_tokens": 5,
    "stop_token_ids": [5],
    "bad_words": ["a"],
    "use_beam_search": True,
    "prompt_logprobs": 1,
    "allowed_token_ids": [5],
    "truncate_prompt_tokens": 5,
    **dict.fromkeys(("typical_p", "typ_p", "tfs_z", "tfs", "length_penalty"), 0.5),
    **dict.fromkeys(("mirostat", "mirostat_mode", "no_repeat_ngram_size", "top_n_sigma", "repeat_last_n"), 2),
    **dict.fromkeys(("xtc_probability", "dry_multiplier", "top_a", "dynatemp_range", "smoothing_factor"), 0.5),
    **dict.fromkeys(("epsilon_cutoff", "eta_cutoff", "penalty_alpha"), 0.5),
    "include_stop_str_in_output": True,
    "skip_special_tokens": False,
    "best_of": 2,
    **dict.fromkeys(("system", "instructions", "prompt", "input", "chat_template", "format", "suffix"), "x"),
    "images": ["x"],
    "documents": ["x"],
    "stop_sequences": ["x"],
    **dict.fromkeys(("raw", "echo", "background"), True),
    "text": {"format": {"type": "json_object"}},
    "output_format": {"type": "json_schema"},
    **dict.fromkeys(("previous_response_id", "conversation"), "resp_1"),
}

# body → the parameter an error must name
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"messages": None}, "messages"),
    ({"messages": "hello"}, "messages"),
    ({"messages": []}, "messages"),
    ({"messages": ["hello"]}, "messages[0]"),
    ({"messages": [{"content": "x"}]}, "messages[0].role"),
    ({"messages": [{"role": "wizard", "content": "x"}]}, "messages[0].role"),
    ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
    ({"messages": [*HELLO, {"role": "user", "content": "x", "color": "red"}]}, "messages[1].color"),
    ({"model": 5}, "model"),
    ({"model": "x" * 513}, "model"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"max_tokens": -1}, "max_tokens"),
    ({"max_tokens": 1.5}, "max_tokens"),
    ({"max_tokens": "5"}, "max_tokens"),
    ({"max_tokens": True}, "max_tokens"),
    ({"max_tokens": 10**9}, "max_tokens"),
    ({"max_completion_tokens": 0}, "max_completion_tokens"),
    ({"temperature": -0.1}, "temperature"),
    ({"temperature": 2.1}, "temperature"),
    ({"temperature": "hot"}, "temperature"),
    ({"temperature": float("nan")}, "temperature"),
    ({"top_p": 1.1}, "top_p"),
    ({"top_p": -0.1}, "top_p"),
    ({"stop": 5}, "stop"),
    ({"stop": ""}, "stop"),
    ({"stop": [""]}, "stop"),
    ({"stop": ["a"] * 65}, "stop"),
    ({"stop": [1]}, "stop"),
    ({"stream": "yes"}, "stream"),
    ({"n": 0}, "n"),
    ({"n": 129}, "n"),
    ({"seed": 1.5}, "seed"),
    ({"seed": 1 << 64}, "seed"),
    ({"logprobs": 5}, "logprobs"),
    ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
    ({"logprobs": True, "top_logprobs": -1}, "top_logprobs"),
    ({"logit_bias": {"1": 101}}, "logit_bias"),
    ({"logit_bias": {"one": 1}}, "logit_bias.one"),
    ({"logit_bias": {"-1": 1}}, "logit_bias"),
    ({"logit_bias": [1]}, "logit_bias"),
    ({"frequency_penalty": 2.1}, "frequency_penalty"),
    ({"presence_penalty": -2.1}, "presence_penalty"),
    ({"repetition_penalty": 0}, "repetition_penalty"),
    ({"top_k": -2}, "top_k"),
    ({"min_p": 1.5}, "min_p"),
    ({"ignore_eos": 1}, "ignore_eos"),
    ({"timeout": 0}, "timeout"),
    ({"response_format": "json"}, "response_format"),
    ({"response_format": {"type": "yaml"}}, "response_format.type"),
    ({"tools": [{"type": "function"}]}, "tools[0].function"),
    ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools[0].function.name"),
    ({"tool_choice": "perhaps"}, "tool_choice"),
    ({"parallel_tool_calls": "yes"}, "parallel_tool_calls"),
    ({"reasoning_effort": "great"}, "reasoning_effort"),
    ({"stream": 1}, "stream"),
    ({"stream_options": {"include_usage": "yes"}}, "stream_options.include_usage"),
    ({"stream_options": {"color": "red"}}, "stream_options.color"),
    ({"prediction": "text"}, "prediction"),
    ({"prediction": {}}, "prediction.type"),
    ({"prediction": {"type": "content"}}, "prediction.content"),
    ({"prediction": {"type": "image", "content": "x"}}, "prediction.type"),
    ({"prediction": {"type": "content", "content": 5}}, "prediction.content"),
    ({"prediction": {"type": "content", "content": [{"type": "text"}]}}, "prediction.content[0].text"),
]


def request(**fields: Any) -> ChatCompletionRequest:
    return ChatCompletionRequest.model_validate({"messages": HELLO, **fields})


@pytest.mark.parametrize("name", sorted(Labels.model_fields))
def test_a_label_has_its_type(name: str) -> None:
    """What asks for nothing is still checked."""
    with pytest.raises(ValidationError):
        request(**{name: 5})


@pytest.mark.parametrize(("fields", "param"), WRONG, ids=lambda value: str(value)[:40])
def test_a_wrong_value_is_named(fields: dict[str, Any], param: str) -> None:
    """An error says which parameter is wrong, as a path, without pydantic's own words and without the value."""
    with pytest.raises(ValidationError) as caught:
        request(**fields)
    error = from_validation(caught.value)
    assert (error.param or "").removesuffix("[0]") == param.removesuffix("[0]")
    assert error.status == 400


def test_a_missing_field_is_named() -> None:
    """`messages` is the one field nobody can leave out."""
    with pytest.raises(ValidationError) as caught:
        ChatCompletionRequest.model_validate({})
    assert from_validation(caught.value).message == "Missing required parameter: 'messages'."


@pytest.mark.parametrize(
    ("fields", "param", "text"),
    [
        ({"stop": ["a"] * 65}, "stop", "at most 64"),
        ({"stop": ""}, "stop", "at least 1"),
        ({"tool_choice": {"type": "allowed_tools"}}, "tool_choice.type", "'function'"),
        ({"response_format": "json"}, "response_format", "valid dictionary."),
    ],
)
def test_what_is_wrong_is_said_plainly(fields: dict[str, Any], param: str, text: str) -> None:
    """Of a field with several forms, what is told is about the one that was meant; no class of ours is named."""
    with pytest.raises(ValidationError) as caught:
        request(**fields)
    error = from_validation(caught.value)
    assert error.param == param
    assert text in error.message
