"""The prompt's part of a completion with `echo`: its text, and with `logprobs` how likely each of its tokens was."""

from __future__ import annotations

from typing import TypeGuard

from msgspec.structs import replace

from src.api.generation.generation import EventKinds
from src.api.generation.recorder import EmbeddingRecorder
from src.api.generation.streaming import Event, collect
from src.api.openai import translation
from src.api.service import service
from src.ipc.messages.chat import (
    Delta,
    Detokenized,
    DetokenizeRequest,
    Finished,
    GenerateRequest,
    RawPrompt,
    Sampling,
    Scored,
    ScoreRequest,
    Timings,
    Usage,
)
from src.ipc.messages.wire import AnyMessage


def scores_of(generate: GenerateRequest, prompts: list[RawPrompt]) -> list[Scored]:
    """Each prompt's tokens with their log-probabilities, computed together."""
    shared = service()
    asked = ScoreRequest(
        f"{generate.id}-prompt",
        generate.model,
        tuple(prompts),
        priority=generate.priority,
        timeout_s=generate.timeout_s,
        top=generate.sampling.logprobs or 0,
    )
    labels = shared.backends.labels(asked.model)
    recorder = EmbeddingRecorder(shared.metrics, asked, labels, shared.limits.spender(labels[0]))
    events = collect(translation.open_at_engine(asked, _SCORES, recorder))
    return sorted((event for event in events if isinstance(event, Scored)), key=lambda event: event.index)


def text_of(model: str, prompt: RawPrompt) -> str:
    """A prompt as text."""
    if prompt.text is not None:
        return prompt.text
    answer = translation.ask(model, DetokenizeRequest(model, prompt.tokens))
    assert isinstance(answer, Detokenized)  # noqa: S101  # the question decides what answers it
    return answer.text


def answer_of(generate: GenerateRequest, scored: Scored, max_tokens: int) -> list[Event] | None:
    """The answer, where the prompt's scores have it: none at all, or the one token of greedy decoding."""
    usage = Usage(len(scored.tokens), max_tokens)
    if max_tokens == 0:
        return [Finished("length", usage, _NO_TIMES)]
    following = scored.following
    if following is None or not _takes_likeliest(generate):
        return None
    if scored.ends:
        return [Finished("stop", usage, _NO_TIMES)]
    chosen = following.chosen
    delta = Delta((chosen.token,), chosen.text.decode(errors="ignore"), logprobs=(following,))
    return [delta, Finished("length", usage, _NO_TIMES)]


def _takes_likeliest(generate: GenerateRequest) -> bool:
    """Whether one token is asked for, and nothing but its probability decides on it."""
    plain = Sampling(temperature=0.0, logprobs=generate.sampling.logprobs)
    asked = replace(generate.sampling, seed=0, seeded=False, top_p=None, top_k=None, min_p=None)
    free = not (generate.stop or generate.choices or generate.json_schema or generate.answer_form)
    return generate.max_tokens == 1 and free and asked == plain


def _is_score(message: AnyMessage) -> TypeGuard[Scored | Finished]:
    return isinstance(message, Scored | Finished)


_NO_TIMES = Timings(0.0, 0.0, 0.0)
_SCORES = EventKinds(_is_score, lambda event: isinstance(event, Finished), admission=True)
