"""What the client has been given of an answer, and what of its request is left to do. Immutable, pure.

`resume` has one per request, and a new one for each message; a fresh process gets what `rest_of` makes of the request.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import msgspec

from src.ipc.messages.chat import (
    Admitted,
    Choice,
    ChoiceEnded,
    Delta,
    DetokenizeRequest,
    Embedded,
    EmbedRequest,
    Finished,
    GenerateRequest,
    PromptProgress,
    TokenizeRequest,
)
from src.ipc.messages.ocr import OcrDocument, OcrPage, OcrRequest
from src.ipc.messages.wire import AnyMessage

Resumable = GenerateRequest | EmbedRequest | TokenizeRequest | DetokenizeRequest | OcrRequest | OcrDocument


@dataclass(frozen=True)
class Delivered:
    """Of one request. `tokens` by choice; `ended` choices; `items`: pages, or vectors, by number."""

    admitted: Admitted | None = None
    tokens: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    ended: frozenset[int] = frozenset()
    items: frozenset[int] = frozenset()
    unreported: bool = False  # some of the answer has come without its tokens
    progress: int = 0  # tokens of the prompt that were computed, by what was told

    @property
    def begun(self) -> bool:
        """Whether anything of the answer itself has been given."""
        return bool(self.tokens or self.items or self.unreported)

    def after(self, message: AnyMessage) -> Delivered:
        """With one more message given."""
        match message:
            case Admitted():
                return replace(self, admitted=message)
            case Delta(index=index, tokens=new):
                tokens = {**self.tokens, index: self.tokens.get(index, ()) + new}
                return replace(self, tokens=tokens, unreported=self.unreported or message.unreported_tokens > 0)
            case PromptProgress(processed=processed):
                return replace(self, progress=processed)
            case ChoiceEnded():
                return replace(self, ended=self.ended | {message.index})
            case OcrPage(number=number) | Embedded(index=number):
                return replace(self, items=self.items | {number})
        return self

    def rest_of(self, request: Resumable, spent_s: float) -> Resumable:
        """The request as the next process needs it: it goes on after the tokens, and the seconds spent on them."""
        if isinstance(request, EmbedRequest):
            return msgspec.structs.replace(request, retried=self.admitted is not None)
        if not isinstance(request, GenerateRequest) or self.admitted is None:
            return request
        left = [choice.index for choice in request.choices if choice.index not in self.ended]
        return msgspec.structs.replace(
            request,
            max_tokens=self.admitted.max_tokens,
            prefix=self.tokens.get(0, ()) if not request.choices else (),
            choices=tuple(Choice(index, self.tokens.get(index, ())) for index in left),
            spent_s=spent_s,
        )

    def completed(self, finished: Finished) -> Finished:
        """With the tokens of the choices that have ended here: the engine that says so did not see them."""
        earlier = sum(len(self.tokens.get(index, ())) for index in self.ended)
        usage = finished.usage
        total = msgspec.structs.replace(usage, completion_tokens=usage.completion_tokens + earlier)
        return msgspec.structs.replace(finished, usage=total)
