"""What requests need before they are submitted: token ids, text of tokens, compiled grammars. Engine's I/O thread.

The work itself is done on threads of its own, by turns between the owners of requests (their salts): one text, or a
piece of a long one, at a time on the tokenizer thread. What cannot fit the model is refused before it is encoded.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial

from msgspec.structs import replace

from src.engine import embedding, prompt
from src.engine.backend import Backend, Grammar
from src.engine.fair_executor import FairExecutor, QueueBounds, WorkTimeout
from src.engine.prompt import TextBound
from src.engine.sequence import Sequence
from src.errors import InvalidRequest
from src.ipc.messages.chat import (
    Detokenized,
    DetokenizeRequest,
    EmbedRequest,
    GenerateRequest,
    RawPrompt,
    Tokenized,
    TokenizeRequest,
)
from src.settings import EngineSettings

Gone = asyncio.Future[None]

# one owner leaves a slot for the others, and a compilation that overran its time a thread for the next
_GRAMMAR_SLOTS = 3
_GRAMMAR_SPARE = 4
# these take turns with the same owner's generations, of which MAX_QUEUE_SIZE admits so many
_TOKENIZE_QUEUE = ":tokenize"


class Encoding:
    """All methods raise PeerGone once `gone` is done, and Overloaded when too much of one owner's waits."""

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings
        waiting = settings.max_num_seqs + settings.max_queue_size
        tokenizing = QueueBounds(1, waiting, settings.queue_timeout, per_owner=1)
        compiling = QueueBounds(
            _GRAMMAR_SLOTS, waiting, settings.queue_timeout, per_owner=_GRAMMAR_SLOTS - 1, spare=_GRAMMAR_SPARE
        )
        self._tokenizer = FairExecutor("the tokenizer", tokenizing)
        self._compiler = FairExecutor("the grammar compiler", compiling)

    def shutdown(self) -> None:
        self._tokenizer.shutdown()
        self._compiler.shutdown()

    async def sequences(
        self,
        request: GenerateRequest,
        backend: Backend,
        seconds_per_token: float | None,
        grammar: Grammar | None,
        gone: Gone,
    ) -> list[Sequence]:
        """A request's sequences, ready to be submitted; raises as `choices.make_sequences`."""
        await self._check_length(request, backend, request.salt, gone)
        if prompt.drafts_from_prediction(request, backend, grammar):
            predicted = replace(request, raw_prompt=RawPrompt(request.prediction))
            await self._check_length(predicted, backend, request.salt, gone, "prediction")
        prepare = partial(
            prompt.make_sequences, request, backend, self._settings, time.monotonic, seconds_per_token, grammar
        )
        return await self._tokenizer.run(request.salt, prepare, gone)

    async def texts(self, request: EmbedRequest, backend: Backend, gone: Gone) -> list[list[int]]:
        """The token ids of each text to be embedded; raises as `embedding.tokens`."""
        found: list[list[int]] = []
        for index, raw in enumerate(request.inputs):  # one by one: between them the thread is others'
            asked = GenerateRequest(request.id, request.model, (), raw_prompt=raw)
            if request.reading.truncate is None:
                await self._check_length(asked, backend, request.salt, gone, embedding.param_of(request))
            work = partial(embedding.tokens, raw, request, backend, index)
            found.append(await self._tokenizer.run(request.salt, work, gone))
        return found

    async def tokenize_or_detokenize(
        self, message: TokenizeRequest | DetokenizeRequest, backend: Backend, gone: Gone
    ) -> Tokenized | Detokenized:
        """The response to a request that computes nothing; raises as `choices.tokenize_or_detokenize`."""
        salt = message.request.salt if isinstance(message, TokenizeRequest) else message.salt
        owner = salt + _TOKENIZE_QUEUE
        if isinstance(message, TokenizeRequest):
            await self._check_length(message.request, backend, owner, gone)
        else:
            prompt.check_ids(len(message.tokens), backend.info.context_length)
        return await self._tokenizer.run(owner, partial(prompt.tokenize_or_detokenize, message, backend), gone)

    async def grammar(self, request: GenerateRequest, backend: Backend, gone: Gone) -> Grammar | None:
        """What the answer must follow; a schema's time counts from the start of its own compilation.

        Raises:
            InvalidRequest: it took too long, or cannot be followed.
        """
        seconds = self._settings.grammar_timeout
        try:
            work = partial(backend.tokenizer.grammar, request)
            return await self._compiler.run(request.salt, work, gone, timeout_s=seconds)
        except WorkTimeout:
            text = f"The schema could not be compiled within {seconds:g} s (GRAMMAR_TIMEOUT)."
            raise InvalidRequest(text, param="response_format") from None

    async def _check_length(
        self, request: GenerateRequest, backend: Backend, owner: str, gone: Gone, param: str = ""
    ) -> None:
        """Raises ContextLengthExceeded for a text that cannot fit: by its bytes, then piece by piece."""
        if not prompt.is_long(prompt.request_size(request), backend.info.context_length):
            return
        param = param or prompt.param_of(request)
        tokenizer, run = backend.tokenizer, self._tokenizer.run
        longest = await run(owner, lambda: tokenizer.longest, gone)
        text = await run(owner, partial(tokenizer.text, request), gone)
        bound, size, tokens = TextBound(backend.info.context_length, longest), prompt.text_size(text), 0
        bound.check_bytes(size, param)
        for piece in prompt.text_pieces(text):
            tokens += await run(owner, partial(tokenizer.count, piece), gone)
            bound.check_tokens(tokens, size, param)
