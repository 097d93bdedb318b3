"""`python -m tests.unit.engine.upstream.record URL KEY FOLDER`: what a real server streams to our own requests.

Made the files under recorded/; their README says by which servers. A cassette is what came, byte for byte.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import httpx

from src.engine.upstream import request as question
from src.engine.upstream.client import Client
from src.engine.upstream.dialects import ServerFacts, recognise
from src.ipc.messages.chat import ChatMessage, Choice, GenerateRequest, RawPrompt, Sampling, Tool, ToolChoice

_GREEDY = Sampling(temperature=0.0)
_SCORED = Sampling(temperature=0.0, logprobs=2)
_WEATHER = Tool(
    "weather",
    "The weather of a city.",
    '{"type":"object","properties":{"city":{"enum":["Rome","Oslo"]}},"required":["city"],"additionalProperties":false}',
)
_SAID = (ChatMessage("user", "What are you?"),)

REQUESTS = {
    "chat": GenerateRequest("r", "demo", _SAID, _GREEDY, max_tokens=8),
    "scored": GenerateRequest("r", "demo", _SAID, _SCORED, max_tokens=3),
    "stopped": GenerateRequest("r", "demo", _SAID, _GREEDY, max_tokens=30, stop=(" am",)),
    "choices": GenerateRequest("r", "demo", _SAID, Sampling(seed=1, seeded=True), 3, choices=(Choice(0), Choice(1))),
    "named": GenerateRequest(
        "r", "demo", _SAID, _GREEDY, 250, tools=(_WEATHER,), tool_choice=ToolChoice("named", "weather", False)
    ),
    "required": GenerateRequest(
        "r", "demo", _SAID, _GREEDY, 250, tools=(_WEATHER,), tool_choice=ToolChoice("required")
    ),
    "raw": GenerateRequest("r", "demo", (), _SCORED, max_tokens=3, raw_prompt=RawPrompt("The sea is")),
}


async def _facts(url: str, key: str) -> ServerFacts:
    client = Client(url, key, local=True)
    try:
        return recognise((await client.get("/v1/models", 5.0)).body, "demo")
    finally:
        await client.close()


def main(url: str, key: str, folder: Path) -> None:
    facts = asyncio.run(_facts(url, key))
    folder.mkdir(parents=True, exist_ok=True)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    for name, request in REQUESTS.items():
        body = question.body(request, facts, request.max_tokens)
        reply = httpx.post(f"{url}{question.path(request)}", content=body, headers=headers, timeout=120)
        (folder / f"{name}.{'sse' if reply.status_code == 200 else 'json'}").write_bytes(reply.content)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
