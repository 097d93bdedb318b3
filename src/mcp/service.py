"""HTTP client of the running service for the tools, with a deadline per request. Error responses become tool errors."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, TypeVar

import httpx2
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import BaseModel, ValidationError

from src.installation import command

_CONNECT_S = 5.0
_UNAUTHORIZED = 401

Answer = TypeVar("Answer", bound=BaseModel)


class ServiceClient:
    """One service at one URL. `key`: sent for callers without their own; None: each caller sends its own.

    `remote`: callers may be on other machines; reported in `Via`, so that they do not count as the local admin.
    """

    def __init__(self, url: str, key: str | None, *, remote: bool = False) -> None:
        self._url = url
        self._key = key
        self._via = {"Via": "1.1 stoker-mcp"} if remote else {}

    async def get(self, path: str, shape: type[Answer], authorization: str | None, timeout_s: float) -> Answer:
        return self._decode(path, await self._ask("GET", path, authorization, timeout_s), shape)

    async def post(
        self, path: str, shape: type[Answer], authorization: str | None, timeout_s: float, **body: Any
    ) -> Answer:
        """`body` as httpx takes it: `json=`, or `files=` and `data=`."""
        return self._decode(path, await self._ask("POST", path, authorization, timeout_s, **body), shape)

    async def _ask(
        self, method: str, path: str, authorization: str | None, timeout_s: float, **body: Any
    ) -> httpx2.Response:
        timeout = httpx2.Timeout(timeout_s, connect=_CONNECT_S)  # per read; the whole request has the same deadline
        # trust_env=False: never through a proxy
        client = httpx2.AsyncClient(base_url=self._url, timeout=timeout, trust_env=False)
        try:
            async with client:
                asked = client.request(method, path, headers=self._headers(authorization), **body)
                answer = await asyncio.wait_for(asked, timeout_s)
        except httpx2.ConnectError:
            raise ToolError(f"No service is listening at {self._url}. Start it: {command('--mode prod')}") from None
        except (TimeoutError, httpx2.TimeoutException):
            raise ToolError(f"No response from {path} within {timeout_s:g} s.") from None
        except httpx2.HTTPError as error:
            raise ToolError(f"{path} failed: {error}") from None
        if not answer.is_success:
            raise ToolError(self._error_text(answer))
        return answer

    def _headers(self, authorization: str | None) -> dict[str, str]:
        if authorization is None and self._key:
            authorization = f"Bearer {self._key}"
        return {"Accept": "application/json"} | self._via | ({"Authorization": authorization} if authorization else {})

    def _error_text(self, answer: httpx2.Response) -> str:
        text = f"{answer.status_code}: {_reason(answer)}"
        if answer.status_code == _UNAUTHORIZED and self._key is not None:
            text += f" `{command('mcp')}` sends the key in STOKER_API_KEY."
        after = answer.headers.get("Retry-After")
        return text if after is None else f"{text} Try again in {after} s."

    def _decode(self, path: str, answer: httpx2.Response, shape: type[Answer]) -> Answer:
        try:
            return shape.model_validate_json(answer.content)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise ToolError(f"{path} returned an unexpected response: {where}: {first['msg']}") from None


def _reason(answer: httpx2.Response) -> str:
    """The message of OpenAI's error envelope, or the reason of a status route."""
    try:
        body = answer.json()
    except ValueError:
        return answer.reason_phrase
    if not isinstance(body, Mapping):
        return answer.reason_phrase
    error = body.get("error")
    told = error.get("message") if isinstance(error, Mapping) else body.get("reason")
    return str(told or answer.reason_phrase)
