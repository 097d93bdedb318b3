"""What gunicorn and Flask alone stream on these cores: the measure for the web process. WSGI target `application`."""

from __future__ import annotations

from collections.abc import Iterator

from flask import Flask, Response, request

application = Flask(__name__)

# as long as one of our chunks
_EVENT = b"data: x" + b"y" * 230 + b"\n\n"


@application.post("/bare")
def bare() -> Response:
    tokens = int(request.get_json()["max_tokens"]) - 1

    def events() -> Iterator[bytes]:
        for _ in range(tokens):
            yield _EVENT

    return Response(events(), mimetype="text/event-stream")


@application.get("/livez")
def livez() -> str:
    return "alive"
