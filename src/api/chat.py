"""POST /v1/chat/completions, streamed or whole.

The engine always streams, so that a client that leaves ends its answer in either case.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

from flask import Blueprint, Response, request
from loguru import logger

from src.api import convert, error_handlers, sse
from src.api.answer import Answer, ClientGone
from src.api.convert import ChunkWriter
from src.api.generation import Generation
from src.api.recorder import Recorder
from src.api.schemas import ChatCompletionRequest
from src.api.service import Service, json_body, json_response, request_id, service
from src.errors import EngineCrashed, InternalError, ServiceError
from src.ipc.messages import Delta, Finished, GenerateRequest

blueprint = Blueprint("chat", __name__)

# the engine keeps the deadline; only this much later do we stop waiting for its word
_GRACE_S = 30.0
_NO_HEADER_TEXT = re.compile("[^ -~]")


@blueprint.post("/v1/chat/completions")
def create() -> Response:
    shared = service()
    with shared.inflight.reading():
        body = ChatCompletionRequest.model_validate(json_body())
    wishes = convert.Wishes(request.headers.get("X-Priority"), request.headers.get("X-Request-Timeout"))
    generate = convert.to_generate(body, request_id(), shared.settings.default_model, wishes)
    generation = _open(shared, generate)
    try:
        generation.wait_admitted()
        response = _streamed(generation, generate, body) if body.stream else _whole(generation, generate)
    except BaseException:
        generation.close()
        raise
    if body.ignored:
        response.headers["X-Ignored-Fields"] = _NO_HEADER_TEXT.sub("?", ", ".join(body.ignored))[:512]
    return response


def _open(shared: Service, generate: GenerateRequest) -> Generation:
    answer = Answer(
        lambda: shared.backends.open_chat(generate),
        inflight=shared.inflight,
        environ=request.environ,
        crashed=EngineCrashed("The engine died while it worked on this request; it is restarted.", retry_after_s=3.0),
        timeout_s=shared.settings.queue_timeout
        + shared.settings.request_timeout
        + shared.settings.resume_max_wait
        + _GRACE_S,
    )
    record = Recorder(shared.metrics, generate, shared.backends.engine_name())
    return Generation(answer, record, shared.settings.sse_ping_seconds)


def _whole(generation: Generation, generate: GenerateRequest) -> Response:
    try:
        events = [event for batch in generation.batches() for event in batch]
    finally:
        generation.close()
    return json_response(convert.completion(events, _completion_id(generate), int(time.time()), generate.model))


def _streamed(generation: Generation, generate: GenerateRequest, body: ChatCompletionRequest) -> Response:
    include_usage = body.stream_options is not None and body.stream_options.include_usage
    writer = ChunkWriter(_completion_id(generate), int(time.time()), generate.model, include_usage=include_usage)
    response = sse.response(_events(generation, writer))
    # a generator that was never started never reaches its `finally`
    response.call_on_close(generation.close)
    return response


def _events(generation: Generation, writer: ChunkWriter) -> Iterator[bytes]:
    try:
        yield sse.event(writer.first())
        for batch in generation.batches():
            if encoded := b"".join(_encode(event, writer) for event in batch):
                yield encoded
            elif not batch:
                yield sse.PING
        yield sse.DONE
    except ClientGone:
        return
    except ServiceError as error:
        yield sse.event(error_handlers.envelope(error))
    except Exception:  # noqa: BLE001  # the response has begun: an error event is the only honest end
        logger.exception("a stream failed")
        yield sse.event(error_handlers.envelope(InternalError()))
    finally:
        generation.close()


def _encode(event: Delta | Finished, writer: ChunkWriter) -> bytes:
    if isinstance(event, Delta):
        return sse.event(writer.delta(event)) if event.text else b""
    return b"".join(map(sse.event, writer.finished(event)))


def _completion_id(generate: GenerateRequest) -> str:
    return f"chatcmpl-{generate.id}"
