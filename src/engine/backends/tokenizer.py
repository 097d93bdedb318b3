"""mlx-lm's tokenizer wrapper as the engine uses it: templates, detokenizers, what sorts and constrains a text.

Used on the tokenizer thread (grammars: on the grammar threads); detokenizers and readers are each answer's own.
"""

from __future__ import annotations

import json
from collections.abc import Sequence as Seq
from typing import Any

from loguru import logger

from src.engine.backends.constraint import Grammar, Grammars
from src.engine.backends.forced import new_call_id
from src.engine.backends.reading import reader, tool_json
from src.engine.backends.vocabulary import Vocabulary
from src.errors import InvalidRequest, UnsupportedValue
from src.ipc.messages import ChatMessage, GenerateRequest, RawPrompt, Sampling

_SWITCHES = ("enable_thinking", "thinking")


class LmTokenizer:
    """Text to token ids and back, and what a model's own marks mean."""

    def __init__(self, wrapped: Any, vocabulary: Vocabulary, max_grammar_bytes: int = 1 << 18) -> None:
        self._wrapped = wrapped
        self._vocabulary = vocabulary
        self._grammars = Grammars(vocabulary.grammar_tokenizer, max_grammar_bytes)
        self._template = str(wrapped.chat_template or "") if wrapped.has_chat_template else ""

    def check(self, sampling: Sampling) -> None:
        unknown = [token for token in sampling.logit_bias if token >= self._vocabulary.size]
        if unknown:
            text = f"{unknown[0]} is no token id: this model has {self._vocabulary.size}."
            raise InvalidRequest(text, param="logit_bias")

    def encode(self, request: GenerateRequest) -> list[int]:
        if request.raw_prompt is not None:
            return self._raw(request.raw_prompt)
        if request.tools and not self._takes_tools(request):
            raise UnsupportedValue("This model's chat template knows no tools.", param="tools")
        prompt = self._render(request.messages, self._options(request))
        if not self._thinks(prompt):
            return prompt
        if request.json_schema is not None or request.tool_choice.mode in ("required", "named"):
            closed = self._wrapped.encode(f"{self._wrapped.think_end}\n\n", add_special_tokens=False)
            return [*prompt, *closed]
        if request.thinking is False:
            raise UnsupportedValue("This model always thinks.", param="reasoning_effort")
        return prompt

    def encode_chat(self, messages: Seq[ChatMessage]) -> list[int]:
        return self._render(messages, {})

    def _raw(self, raw: RawPrompt) -> list[int]:
        if raw.text is not None:
            return list(self._wrapped.encode(raw.text))
        unknown = [token for token in raw.tokens if token >= self._vocabulary.size]
        if unknown:
            raise InvalidRequest(f"{unknown[0]} is no token id of this model.", param="prompt")
        return list(raw.tokens)

    def _takes_tools(self, request: GenerateRequest) -> bool:
        """A call that must be made is a matter of the grammar; one that may be made, of the model."""
        return request.tool_choice.mode in ("required", "named") or bool(self._wrapped.has_tool_calling)

    def _options(self, request: GenerateRequest) -> dict[str, Any]:
        options: dict[str, Any] = {}
        if request.tools:
            options["tools"] = [tool_json(tool) for tool in request.tools]
        constrained = request.json_schema is not None or request.tool_choice.mode in ("required", "named")
        if request.thinking is not None or constrained:
            options["enable_thinking"] = bool(request.thinking) and not constrained
        if request.thinking:
            self._check_thinking(constrained=constrained)
            options["reasoning_effort"] = request.reasoning_effort
        return options

    def _check_thinking(self, *, constrained: bool) -> None:
        switch = any(name in self._template for name in (*_SWITCHES, "reasoning_effort"))
        if not switch:
            raise UnsupportedValue("This model has no switch for its reasoning.", param="reasoning_effort")
        if constrained:
            text = "Reasoning before an answer of a given form is not supported."
            raise UnsupportedValue(text, param="reasoning_effort")

    def _render(self, messages: Seq[ChatMessage], options: dict[str, Any]) -> list[int]:
        if not self._wrapped.has_chat_template:
            raise InvalidRequest("This model has no chat template; it cannot chat.", param="model")
        turns = [_turn(message) for message in messages]
        try:
            return list(self._wrapped.apply_chat_template(turns, add_generation_prompt=True, **options))
        except Exception as error:  # noqa: BLE001  # a template raises what its author chose to
            logger.info("the chat template refused a conversation: {}", type(error).__name__)
            raise InvalidRequest("The model's chat template refuses this conversation.", param="messages") from None

    def _thinks(self, prompt: list[int]) -> bool:
        """Whether the prompt ends inside the model's thinking."""
        wrapped = self._wrapped
        if not wrapped.has_thinking:
            return False
        return bool(wrapped.rfind_think_start(prompt) > wrapped.rfind_think_end(prompt))

    def detokenizer(self) -> LmDetokenizer:
        return LmDetokenizer(self._wrapped.detokenizer)

    def decode(self, tokens: Seq[int]) -> str:
        return str(self._wrapped.decode(list(tokens)))

    def reader(self, request: GenerateRequest, prompt: list[int]) -> Any:
        return reader(self._wrapped, request, new_call_id, thinking=self._thinks(prompt))

    def grammar(self, request: GenerateRequest) -> Grammar | None:
        return self._grammars.of(request)


class LmDetokenizer:
    """mlx-lm's streaming detokenizer; it holds back what is not yet a whole character."""

    def __init__(self, wrapped: Any) -> None:
        self._wrapped = wrapped

    def add(self, token: int) -> str:
        self._wrapped.add_token(token)
        return str(self._wrapped.last_segment)

    def flush(self) -> str:
        """What was held back. Half a character at the very end (max_tokens cut it) is left out, not garbled."""
        self._wrapped.finalize()
        return str(self._wrapped.last_segment).rstrip("\ufffd")


def _turn(message: ChatMessage) -> dict[str, Any]:
    """A turn as templates expect it: arguments are objects there, and what is not given is not there at all."""
    turn: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.name is not None:
        turn["name"] = message.name
    if message.tool_call_id is not None:
        turn["tool_call_id"] = message.tool_call_id
    if message.reasoning is not None:
        turn["reasoning_content"] = message.reasoning
    if message.tool_calls:
        turn["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": _object(call.arguments)}}
            for call in message.tool_calls
        ]
    return turn


def _object(arguments: str) -> object:
    try:
        return json.loads(arguments)
    except ValueError:
        return arguments
