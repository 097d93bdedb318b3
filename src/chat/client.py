"""The HTTP side of a terminal chat: the models there are, and answers as they come."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
import msgspec

from src.chat.conversation import ChatError
from src.installation import command

_CONNECT_S = 5.0
_DATA = "data: "


class _ChunkDelta(msgspec.Struct):
    content: str | None = None
    reasoning_content: str | None = None


class _ChunkChoice(msgspec.Struct):
    delta: _ChunkDelta = msgspec.field(default_factory=_ChunkDelta)


class _ErrorText(msgspec.Struct):
    message: str = ""


class _AnswerChunk(msgspec.Struct):
    choices: tuple[_ChunkChoice, ...] = ()
    error: _ErrorText | None = None


class _ModelId(msgspec.Struct):
    id: str


class _ModelIds(msgspec.Struct):
    data: tuple[_ModelId, ...] = ()


@dataclass(frozen=True)
class Piece:
    """New text of an answer; both empty while it is waited for."""

    text: str = ""
    reasoning: str = ""


class ChatClient:
    """One service. `read_timeout_s`: between two signs of life, which the service gives while it works."""

    def __init__(self, url: str, key: str | None, read_timeout_s: float) -> None:
        timeout = httpx2.Timeout(read_timeout_s, connect=_CONNECT_S)
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        # trust_env=False: never through a proxy
        self._http = httpx2.Client(base_url=url, timeout=timeout, headers=headers, trust_env=False)
        self._url = url

    def models(self) -> list[str]:
        """Raises ChatError when the service does not answer."""
        with self._errors():
            response = self._http.get("/v1/models")
            _expect(response)
        return [card.id for card in msgspec.json.decode(response.content, type=_ModelIds).data]

    def ready(self) -> bool:
        """Whether it answers at all."""
        try:
            return self._http.get("/livez").is_success
        except httpx2.HTTPError:
            return False

    def stream(self, request: dict[str, Any]) -> Generator[Piece, None, None]:
        """The answer's pieces. Closing the iterator closes the connection, which stops the answer.

        Raises:
            ChatError: the service refuses, fails or is not there.
        """
        with self._errors(), self._http.stream("POST", "/v1/chat/completions", json=request) as response:
            if not response.is_success:
                response.read()
            _expect(response)
            for line in response.iter_lines():
                if line.startswith(_DATA) and line != f"{_DATA}[DONE]":
                    yield _piece(line.removeprefix(_DATA))
                elif line.startswith(":"):
                    yield Piece()

    def close(self) -> None:
        self._http.close()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except httpx2.ConnectError:
            text = f"No service is listening at {self._url}. Start it: {command('--mode prod')}"
            raise ChatError(text) from None
        except httpx2.HTTPError as error:
            raise ChatError(f"The answer broke off: {error or type(error).__name__}") from None
        except msgspec.DecodeError:
            raise ChatError(f"{self._url} gave an unexpected response; is it this service?") from None


def _piece(data: str) -> Piece:
    chunk = msgspec.json.decode(data, type=_AnswerChunk)
    if chunk.error is not None:
        raise ChatError(chunk.error.message or "The answer failed.")
    deltas = [choice.delta for choice in chunk.choices]
    text = "".join(delta.content or "" for delta in deltas)
    return Piece(text, "".join(delta.reasoning_content or "" for delta in deltas))


def _expect(response: httpx2.Response) -> None:
    if response.is_success:
        return
    try:
        error = msgspec.json.decode(response.content, type=_AnswerChunk).error
    except msgspec.DecodeError:
        error = None
    said = error.message if error is not None and error.message else f"The service returned {response.status_code}."
    raise ChatError(said if response.status_code != 401 else f"{said} Set STOKER_API_KEY.")
