"""What spans say, by OpenTelemetry's conventions for HTTP servers and generative AI; never a prompt or an answer."""

from __future__ import annotations

from src.ipc.messages.chat import EmbedRequest, Finished, GenerateRequest

Value = str | int | float | bool | tuple[str, ...]
PROVIDER = "stoker"


def operation(asked: GenerateRequest | EmbedRequest) -> str:
    if isinstance(asked, EmbedRequest):
        return "embeddings"
    return "text_completion" if asked.raw_prompt is not None else "chat"


def of_request(asked: GenerateRequest | EmbedRequest, engine: str) -> dict[str, Value]:
    """Known when it begins; what the client left to the model is left out."""
    known: dict[str, Value | None] = {
        "gen_ai.operation.name": operation(asked),
        "gen_ai.provider.name": PROVIDER,
        "gen_ai.request.model": asked.model,
        "gen_ai.response.id": asked.id,
        "stoker.engine": engine,
        "stoker.priority": asked.priority,
    }
    if isinstance(asked, GenerateRequest):
        known |= _of_sampling(asked)
    return {name: value for name, value in known.items() if value is not None}


def _of_sampling(asked: GenerateRequest) -> dict[str, Value | None]:
    sampling = asked.sampling
    return {
        "gen_ai.request.stream": asked.stream,
        "gen_ai.request.max_tokens": asked.max_tokens,
        "gen_ai.request.temperature": sampling.temperature,
        "gen_ai.request.top_p": sampling.top_p,
        "gen_ai.request.top_k": sampling.top_k,
        "gen_ai.request.frequency_penalty": sampling.frequency_penalty or None,
        "gen_ai.request.presence_penalty": sampling.presence_penalty or None,
        "gen_ai.request.seed": sampling.seed if sampling.seeded else None,
        "gen_ai.request.choice.count": len(asked.choices) if len(asked.choices) > 1 else None,
        "gen_ai.output.type": "json" if asked.json_schema is not None else None,
    }


def of_answer(asked: GenerateRequest | EmbedRequest, finished: Finished) -> dict[str, Value]:
    said: dict[str, Value] = {
        "gen_ai.response.model": asked.model,
        "gen_ai.usage.input_tokens": finished.usage.prompt_tokens,
    }
    if isinstance(asked, GenerateRequest):
        said["gen_ai.response.finish_reasons"] = (finished.reason,)
        said["gen_ai.usage.output_tokens"] = finished.usage.completion_tokens
        said["gen_ai.usage.cache_read.input_tokens"] = finished.usage.cached_tokens
    return said


def of_http(method: str, route: str, status: int) -> dict[str, Value]:
    said: dict[str, Value] = {
        "http.request.method": method if method != "other" else "_OTHER",
        "http.route": route,
        "http.response.status_code": status,
    }
    return said | ({"error.type": str(status)} if status >= 500 else {})
