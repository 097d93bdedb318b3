"""mlx-lm's tokenizer wrapper as the engine uses it: templates, detokenizers, what sorts and constrains a text.

Used on the tokenizer thread (grammars: on the grammar threads); detokenizers and readers are each answer's own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from collections.abc import Sequence as Seq
from typing import Any

from loguru import logger
from mlx_lm.tokenizer_utils import BPEStreamingDetokenizer, SPMStreamingDetokenizer

from src.engine import system_messages
from src.engine.backend import INPUT_FORM, PromptMedia, chooses_formed_inputs, is_constrained
from src.engine.families import history
from src.engine.families.channels import opened_header
from src.engine.families.forced import new_call_id
from src.engine.families.formats import Language
from src.engine.mlx.text import tool_grammar
from src.engine.mlx.text.grammar import CompiledGrammar, Grammars
from src.engine.mlx.text.infill import infilled
from src.engine.mlx.text.reading import reader, tool_json
from src.engine.mlx.text.render_deadline import TemplateTooSlow, render_deadline
from src.engine.mlx.text.thinking import Thoughts
from src.engine.mlx.text.vocabulary import Vocabulary
from src.errors import InvalidRequest, UnsupportedValue
from src.ipc.messages.chat import ChatMessage, GenerateRequest, ImagePart, RawPrompt, Sampling

_SWITCHES = ("enable_thinking", "thinking")
RENDER_S = 10.0  # a long conversation takes a second; a template that loops would take for ever
_BEFORE = " "  # in place of the text that another goes on with
_SPACERS = ("\n", "\n\n", " ")
# what a template is rendered with: no switches of it
_TAIL_TOKENS = 64  # of a prompt that ends inside a message; its header is no longer
_NO_SWITCHES = frozenset(("messages", "tools", "documents", "add_generation_prompt", "continue_final_message"))


class LmTokenizer:
    """Text to token ids and back, and what a model's own marks mean."""

    def __init__(
        self, wrapped: Any, vocabulary: Vocabulary, language: Language, max_grammar_bytes: int = 1 << 18
    ) -> None:
        self._wrapped = wrapped
        self._vocabulary = vocabulary
        self._language = language
        self._template = template_text(wrapped)
        self._manner = history.Manner.of(language, self._template)
        self._think_tokens = self._encoded_marks()
        self._thoughts = self._own_thoughts()
        self._grammars = Grammars(vocabulary.grammar_tokenizer, max_grammar_bytes, self._thoughts, language.tools)

    def check(self, sampling: Sampling) -> None:
        unknown = [token for token in sampling.logit_bias if token >= self._vocabulary.size]
        if unknown:
            text = f"Token id {unknown[0]} is outside the vocabulary ({self._vocabulary.size} entries)."
            raise InvalidRequest(text, param="logit_bias")

    def encode(self, request: GenerateRequest) -> list[int]:
        if request.raw_prompt is not None:
            return self._raw(request.raw_prompt)
        if request.tools and not self._takes_tools(request):
            raise UnsupportedValue("This model's chat template knows no tools.", param="tools")
        prompt = self._render(request.messages, self._options(request))
        if self._thinks(prompt):
            return self._silenced(prompt) if request.thinking is False and is_constrained(request) else prompt
        if request.thinking and self._has_switch and is_constrained(request) and not self._may_begin_to_think:
            text = "This model cannot reason before an answer of a given form."
            raise UnsupportedValue(text, param="reasoning_effort")
        return prompt

    def text(self, request: GenerateRequest) -> str:
        if request.raw_prompt is not None:
            return (request.raw_prompt.text or "") + request.raw_prompt.suffix
        if not self._wrapped.has_chat_template:
            return ""  # `encode` says so
        return str(self._templated(request.messages, tokenize=False, **self._options(request)))

    def encode_text(self, text: str) -> list[int]:
        return self._encoded(text)

    def count(self, text: str) -> int:
        return len(self._encoded(text))

    @property
    def longest(self) -> int:
        return self._vocabulary.longest

    def set_aside(self, request: GenerateRequest, prompt: list[int]) -> tuple[str, ...]:
        unknown = [name for name in request.template_options if not self._knows(name)]
        names = tuple(f"chat_template_kwargs.{name}" for name in unknown)
        if request.tools and self._language.unknown_tools and request.tool_choice.mode == "auto":
            names = ("tools", *names)  # the template shows them; a call in a format nobody knows is text
        if chooses_formed_inputs(request) and not tool_grammar.writes(self._language.tools):
            names = (INPUT_FORM, *names)
        return ("reasoning_effort", *names) if self._cannot_choose(request, prompt) else names

    def _cannot_choose(self, request: GenerateRequest, prompt: list[int]) -> bool:
        """Whether this model reasons, or does not, whatever the request asks for."""
        if request.thinking is None or request.raw_prompt is not None:
            return False
        return not self._has_switch if request.thinking else self._thinks(prompt)

    def _knows(self, name: str) -> bool:
        """Whether the template speaks of this switch."""
        return name not in _NO_SWITCHES and re.search(rf"\b{re.escape(name)}\b", self._template) is not None

    def _silenced(self, prompt: list[int]) -> list[int]:
        """The thinking that the template opened is closed before a form; a free answer would only open it again."""
        end = self._language.reasoning.end if self._language.reasoning is not None else ""
        return [*prompt, *self._encoded(f"{end}\n\n")]

    def encode_chat(self, messages: Seq[ChatMessage]) -> list[int]:
        return self._render(messages, {})

    def _raw(self, raw: RawPrompt) -> list[int]:
        if raw.suffix:
            return list(self._wrapped.encode(infilled(raw.text or "", raw.suffix, self._wrapped)))
        if raw.text is not None:
            return list(self._wrapped.encode(raw.text))
        unknown = [token for token in raw.tokens if token >= self._vocabulary.size]
        if unknown:
            text = f"Token id {unknown[0]} is outside the vocabulary ({self._vocabulary.size} entries)."
            raise InvalidRequest(text, param="prompt")
        return list(raw.tokens)

    def _takes_tools(self, request: GenerateRequest) -> bool:
        """A call that must be made is a matter of the grammar; one that may be made, of the model."""
        known = self._language.tools is not None or self._language.unknown_tools
        return request.tool_choice.mode in ("required", "named") or known

    def _options(self, request: GenerateRequest) -> dict[str, Any]:
        options: dict[str, Any] = {}
        if request.tools:
            options["tools"] = [tool_json(tool) for tool in request.tools]
        if request.thinking is not None:
            options |= dict.fromkeys(_SWITCHES, request.thinking)
        elif self._language.reasoning is not None:
            options["enable_thinking"] = True
        if request.thinking and self._has_switch:
            options["reasoning_effort"] = request.reasoning_effort
        if request.continue_final:
            options |= {"continue_final_message": True, "add_generation_prompt": False}
        return {name: value for name, value in request.template_options.items() if self._knows(name)} | options

    @property
    def _has_switch(self) -> bool:
        return any(name in self._template for name in (*_SWITCHES, "reasoning_effort"))

    @property
    def _may_begin_to_think(self) -> bool:
        """Whether a grammar can tell that the model begins to think."""
        return self._thoughts is not None and self._thoughts.start is not None

    def _own_thoughts(self) -> Thoughts | None:
        """None for a model whose template knows no thinking: marks in its vocabulary mean nothing."""
        reasoning = self._language.reasoning
        if reasoning is None or not reasoning.start or not (self._has_switch or reasoning.start in self._template):
            return None
        return Thoughts(
            _only(self._think_tokens[0]),
            _only(self._think_tokens[1]),
            reasoning.end.encode(),
            tuple(one for text in _SPACERS if (one := _only(self._encoded(text))) is not None),
            tuple(sorted(self._wrapped.eos_token_ids)),
            self._vocabulary.text_of,
            lambda prompt: self._thinks(list(prompt)),
        )

    def _encoded_marks(self) -> tuple[list[int], list[int]]:
        """What begins and ends thinking, as tokens; nothing where no mark does."""
        reasoning = self._language.reasoning
        if reasoning is None or not reasoning.start:
            return [], []
        return self._encoded(reasoning.start), self._encoded(reasoning.end)

    def _encoded(self, text: str) -> list[int]:
        return list(self._wrapped.encode(text, add_special_tokens=False))

    def _render(self, messages: Seq[ChatMessage], options: dict[str, Any]) -> list[int]:
        if not self._wrapped.has_chat_template:
            raise InvalidRequest("This model has no chat template; it cannot chat.", param="model")
        if any(isinstance(part, ImagePart) for message in messages for part in message.parts):
            raise UnsupportedValue("This model reads no images.", param="messages")
        return list(self._templated(messages, **options))

    def _templated(self, messages: Seq[ChatMessage], **options: Any) -> Any:
        """The first form of the conversation that the template takes whole."""
        options = {"add_generation_prompt": True} | options
        late = system_messages.late_system_texts(tuple(messages))
        given, first = options | {"tokenize": False}, ""
        shapes = [[self._turn(message) for message in form] for form in system_messages.forms(tuple(messages))]
        for ways in (history.forms, history.folded):
            for text, turns in self._renderings(shapes, given, ways):
                if history.shown(text, turns) and all(said.strip() in text for said in late):
                    return self._tokenized(text, options)
                first = first or text
            if first and history.results_shown(first, shapes[0]):  # it writes something in its own way
                return self._tokenized(first, options)
        if first:  # what it leaves out of every form
            return self._tokenized(first, options)
        raise InvalidRequest("The model's chat template refuses this conversation.", param="messages")

    def _renderings(
        self, shapes: list[list[dict[str, Any]]], options: dict[str, Any], ways: Callable[..., Iterator[list[Any]]]
    ) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        """The prompts that the template makes of the conversation, the most faithful first, each with its turns."""
        for variant in self._variants(options):
            for turns in shapes:
                for form in ways(turns, self._manner):
                    if (text := self._tried(form, variant)) is not None:
                        yield text, turns

    def _tried(self, turns: list[dict[str, Any]], options: dict[str, Any]) -> str | None:
        try:
            if options.get("tools") and self._manner.tools != "template":
                turns = history.with_tools(turns, options["tools"], self._manner)
            with render_deadline(RENDER_S):
                return str(self._wrapped.apply_chat_template(turns, **options))
        except TemplateTooSlow:
            text = f"The model's chat template did not finish within {RENDER_S:g} s."
            raise InvalidRequest(text, param="messages") from None
        except Exception as error:  # noqa: BLE001  # a template raises what its author chose to
            logger.info("the chat template refused a conversation: {}", type(error).__name__)
            return None

    @staticmethod
    def _variants(options: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Options as they are; then for templates that walk through tools that are not there, or print all of each."""
        yield options
        described = history.described(options.get("tools") or [])
        yield options | {"tools": described}
        if described:
            yield options | {"tools": [tool["function"] for tool in described]}

    def _tokenized(self, text: str, options: dict[str, Any]) -> Any:
        return text if options.get("tokenize") is False else self._encoded(text)

    def _turn(self, message: ChatMessage) -> dict[str, Any]:
        return turn_json(message)

    def media(self, request: GenerateRequest) -> PromptMedia | None:
        """A text model takes text alone."""
        del request
        return None

    @property
    def end_tokens(self) -> frozenset[int]:
        return frozenset(self._wrapped.eos_token_ids)

    def _thinks(self, prompt: list[int]) -> bool:
        """Whether the prompt ends inside the model's thinking."""
        start, end = self._think_tokens
        return bool(start) and _last(prompt, start) > _last(prompt, end)

    def detokenizer(self, *, continues: bool = False) -> LmDetokenizer:
        return LmDetokenizer(self._wrapped.detokenizer, continues=continues)

    def decode(self, tokens: Seq[int]) -> str:
        return str(self._wrapped.decode(list(tokens)))

    def reader(self, request: GenerateRequest, prompt: list[int]) -> Any:
        thinking = self._thinks(prompt)
        may_think = self._thoughts is not None and request.thinking is not False
        opened = opened_header(self.decode(prompt[-_TAIL_TOKENS:])) if self._language.channels else None
        return reader(self._language, request, new_call_id, thinking=thinking, may_think=may_think, opened=opened)

    def grammar(self, request: GenerateRequest) -> CompiledGrammar | None:
        return self._grammars.of(request)


class LmDetokenizer:
    """mlx-lm's streaming detokenizer; it holds back what is not yet a whole character.

    It leaves out the space that a text begins with, but where the text goes on with another: there it parts two words.
    """

    def __init__(self, wrapped: Any, *, continues: bool = False) -> None:
        self._wrapped = wrapped
        if continues and isinstance(wrapped, (BPEStreamingDetokenizer, SPMStreamingDetokenizer)):
            wrapped.text, wrapped.offset = _BEFORE, len(_BEFORE)

    def add(self, token: int) -> str:
        self._wrapped.add_token(token)
        return str(self._wrapped.last_segment)

    def flush(self) -> str:
        """What was held back. Half a character at the very end (max_tokens cut it) is left out, not garbled."""
        self._wrapped.finalize()
        return str(self._wrapped.last_segment).rstrip("\ufffd")


def template_text(wrapped: Any) -> str:
    """A tokenizer's chat template; of several, the one for tools and the usual one."""
    found = wrapped.chat_template if wrapped.has_chat_template else None
    if isinstance(found, dict):
        return "\n".join(str(found[name]) for name in ("tool_use", "default") if name in found)
    return str(found or "")


def _last(tokens: Seq[int], mark: Seq[int]) -> int:
    """Where a mark begins last; -1 without one."""
    first, size = mark[0], len(mark)
    for at in range(len(tokens) - size, -1, -1):
        if tokens[at] == first and list(tokens[at : at + size]) == list(mark):
            return at
    return -1


def turn_json(message: ChatMessage) -> dict[str, Any]:
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


def _only(tokens: Seq[int] | None) -> int | None:
    return tokens[0] if tokens is not None and len(tokens) == 1 else None


def _object(arguments: str) -> dict[str, Any]:
    """Templates walk through arguments: what a cut call left of them is shown as the text it is."""
    try:
        found = json.loads(arguments or "{}")
    except ValueError:
        found = arguments
    return found if isinstance(found, dict) else {"arguments": arguments} if found is not None else {}
