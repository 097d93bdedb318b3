"""How long a text may be: no more than the model's context can hold. Pure; asked by `encoding` and upstream engines.

A token stands for no more bytes than the longest vocabulary entry, so a longer text is refused unread. What may fit is
counted piece by piece until it is clear that it does not: encoding is never much more work than a full context is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from src.errors import ContextLengthExceeded
from src.ipc.messages.chat import ChatMessage, GenerateRequest

# texts of fewer bytes a token are encoded at once; most are
_USUAL_TOKEN_BYTES = 4
# a piece is one turn of the tokenizer thread: tens of milliseconds
_PIECE_CHARS = 1 << 16
# pieces have a few more tokens than the text they are cut from
_CERTAIN = 2


@dataclass(frozen=True)
class TextBound:
    """`context` in tokens; `longest` is the bytes of the longest vocabulary entry."""

    context: int
    longest: int

    def check_bytes(self, size: int, param: str) -> None:
        """Raises ContextLengthExceeded for a text that cannot fit, whatever it says."""
        if size > self.context * self.longest:
            raise ContextLengthExceeded(
                f"The text has {size} bytes; the model's context is {self.context} tokens of at most {self.longest} "
                f"bytes each, {self.context * self.longest} bytes together.",
                param=param,
            )

    def check_tokens(self, count: int, size: int, param: str) -> None:
        """Raises ContextLengthExceeded once pieces of a text of `size` bytes have more tokens than could fit."""
        if count > _CERTAIN * self.context:
            text = f"The text has {size} bytes, the first of them more than {_CERTAIN * self.context} tokens"
            raise ContextLengthExceeded(f"{text}; the model's context is {self.context}.", param=param)


def is_long(size: int, context: int) -> bool:
    """Whether a text of that many bytes is to be checked before it is encoded."""
    return size > context * _USUAL_TOKEN_BYTES


def check_ids(count: int, context: int) -> None:
    """Raises ContextLengthExceeded for more token ids, to be made text, than the model can hold."""
    if count > context:
        raise ContextLengthExceeded(f"tokens has {count} ids; the model's context is {context}.", param="tokens")


def param_of(request: GenerateRequest) -> str:
    """The field that holds a request's text."""
    return "messages" if request.raw_prompt is None else "prompt"


def text_pieces(text: str) -> Iterator[str]:
    """A text cut for counting."""
    return (text[at : at + _PIECE_CHARS] for at in range(0, len(text), _PIECE_CHARS))


def text_size(text: str) -> int:
    """Its bytes; without a copy for a text that is ASCII."""
    return len(text) if text.isascii() else len(text.encode(errors="surrogatepass"))


def request_size(request: GenerateRequest) -> int:
    """Bytes of all text that a request may put into its prompt, pictures apart."""
    if request.raw_prompt is not None:
        return text_size(request.raw_prompt.text or "")
    tools = ((tool.name, tool.description or "", tool.parameters) for tool in request.tools)
    return sum(map(text_size, chain(*map(_texts, request.messages), *tools)))


def _texts(message: ChatMessage) -> Iterator[str]:
    yield message.content
    yield message.reasoning or ""
    for call in message.tool_calls:
        yield call.name
        yield call.arguments
