"""How long an answer may take: one pure function over one table of settings (docs/reliability.md has it in words).

|                        | base               | per token               | with images       | at most           |
|------------------------|--------------------|-------------------------|-------------------|-------------------|
| whole answer           | ANSWER_TIMEOUT     | ANSWER_TOKEN_TIMEOUT    | + IMAGE_TIMEOUT   | ANSWER_TIMEOUT_MAX|
| stream, total          | STREAM_TIMEOUT     | STREAM_TOKEN_TIMEOUT    | + IMAGE_TIMEOUT   | STREAM_TIMEOUT_MAX|
| stream, between tokens | STREAM_GAP_TIMEOUT | –                       | –                 | –                 |
| embeddings             | REQUEST_TIMEOUT    | –                       | –                 | –                 |

REQUEST_TIMEOUT caps all of it, and is the budget of an answer whose length nobody named (DEFAULT_MAX_TOKENS=0). The
time in the queue has QUEUE_TIMEOUT of its own and does not count here; in an engine's queue, a background request's has
no end: web keeps its deadline (BACKGROUND_TIMEOUT).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from src.ipc.messages.chat import EmbedRequest, GenerateRequest
from src.settings import EngineSettings

# the measured speed is an average; an answer may be this much slower
_SLACK = 1.5


@dataclass(frozen=True)
class Budget:
    """Seconds. `total` counts from the first step, `gap` from the last token of a stream, `queue` from arrival."""

    queue_s: float
    total_s: float
    gap_s: float | None


def budget(
    request: GenerateRequest, max_tokens: int, settings: EngineSettings, seconds_per_token: float | None
) -> Budget:
    """The budget of one answer.

    Args:
        request: says whether it streams, has images, and what shorter time it asks for.
        max_tokens: what the answer may take.
        settings: the table.
        seconds_per_token: as measured on this engine, None before the first token. When the asked length cannot fit
            at that speed, the budget stretches, up to REQUEST_TIMEOUT.
    """
    table = _table(request, max_tokens, settings)
    needed = _SLACK * max_tokens * seconds_per_token if seconds_per_token is not None else 0.0
    total = min(max(table, needed), settings.request_timeout)
    if request.timeout_s is not None:
        total = min(total, request.timeout_s)
    left = max(0.0, total - request.spent_s)
    queue_s = math.inf if request.priority == "background" else settings.queue_timeout
    return Budget(queue_s, left, settings.stream_gap_timeout if request.stream else None)


def embedding_budget(request: EmbedRequest, settings: EngineSettings) -> Budget:
    """The budget of a request for vectors: all the time there is, if it does not ask for less."""
    total = settings.request_timeout
    return Budget(settings.queue_timeout, total if request.timeout_s is None else min(total, request.timeout_s), None)


def _table(request: GenerateRequest, max_tokens: int, settings: EngineSettings) -> float:
    images = settings.image_timeout if request.has_images else 0.0
    if request.max_tokens is None and not settings.default_max_tokens:
        return settings.request_timeout  # nobody said how long it is to be
    if request.stream:
        wanted = settings.stream_timeout + settings.stream_token_timeout * max_tokens + images
        return min(wanted, settings.stream_timeout_max)
    wanted = settings.answer_timeout + settings.answer_token_timeout * max_tokens + images
    return min(wanted, settings.answer_timeout_max)
