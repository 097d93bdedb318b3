"""The real model through HTTP: streams that survive kill -9, stops, 50 schemas, and a soak (`SOAK_MINUTES`)."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import string
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jsonschema
import openai
import psutil
import pytest

from tests.running import Running

SOAK_S = 60 * float(os.environ.get("SOAK_MINUTES") or 0.5)
QUESTION = [{"role": "user", "content": "Name three fruits, one a line."}]
GROWTH = 1.25  # of the engine's memory over a soak
_PREFIXES = re.compile(r'stoker_prefix_cache_bytes\{.*kind="used"')


@pytest.fixture
def client(real: Running) -> Any:
    return openai.OpenAI(base_url=f"{real.url}/v1", api_key="none", max_retries=0, timeout=240)


def ask(client: Any, **options: Any) -> str:
    done = client.chat.completions.create(
        **({"model": "smollm2.gguf", "messages": QUESTION, "temperature": 0, "max_tokens": 24} | options)
    )
    return str(done.choices[0].message.content)


def test_streamed_and_after_kill_9(real: Running, client: Any) -> None:
    """The same text as in one piece; the client of the killed engine sees a pause."""
    whole = ask(client)
    assert whole.strip()
    for kill in (False, True):
        stream = client.chat.completions.create(
            model="smollm2.gguf", messages=QUESTION, temperature=0, max_tokens=24, stream=True
        )
        text, left = "", kill
        for chunk in stream:
            text += chunk.choices[0].delta.content or "" if chunk.choices else ""
            if left and text:
                os.kill(real.pid("engine"), signal.SIGKILL)
                left = False
        assert text == whole


def test_a_stop_sequence_ends_the_text(client: Any) -> None:
    """Before it, and nothing of it."""
    whole = ask(client)
    stop = whole[len(whole) // 2 :][:3]
    assert ask(client, stop=[stop]) == whole[: whole.index(stop)]


def schemas(count: int = 50) -> list[dict[str, Any]]:
    """Objects whose every answer is short."""
    chosen = random.Random(5)
    kinds: list[dict[str, Any]] = [
        {"type": "integer", "minimum": 0, "maximum": 99},
        {"type": "boolean"},
        {"enum": ["red", "green", "blue"]},
        {"type": "string", "maxLength": 8, "pattern": "^[a-z]{1,8}$"},
        {"type": "array", "items": {"type": "boolean"}, "minItems": 1, "maxItems": 3},
        {"type": "null"},
    ]
    made = []
    for _ in range(count):
        names = chosen.sample(string.ascii_lowercase, chosen.randint(1, 3))
        properties = {name: chosen.choice(kinds) for name in names}
        made.append({"type": "object", "properties": properties, "required": names, "additionalProperties": False})
    return made


def test_fifty_schemas(client: Any) -> None:
    """Sixteen at a time, each answer valid."""

    def one(schema: dict[str, Any]) -> None:
        form = {"type": "json_schema", "json_schema": {"name": "form", "schema": schema, "strict": True}}
        jsonschema.validate(json.loads(ask(client, response_format=form, max_tokens=200)), schema)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(one, schemas()))


def test_a_soak_of_four_streams(real: Running, client: Any) -> None:
    """No failure, and memory that does not grow, but for the prefix cache: it fills up to its limit."""
    ask(client)
    before, ends = _resident(real), time.monotonic() + SOAK_S
    answers = 0

    def talk(seed: int) -> int:
        chosen, count = random.Random(seed), 0
        while time.monotonic() < ends:
            words = " ".join(chosen.choice(("apple", "river", "seven", "blue")) for _ in range(chosen.randint(3, 60)))
            ask(client, messages=[{"role": "user", "content": words}], max_tokens=chosen.randint(4, 24))
            count += 1
        return count

    with ThreadPoolExecutor(4) as pool:
        answers = sum(pool.map(talk, range(4)))
    after = _resident(real)
    print(f"{answers} answers in {SOAK_S:.0f} s; the engine's memory {before >> 20} MB, then {after >> 20} MB")
    assert answers >= 4
    assert after < GROWTH * before


def _resident(real: Running) -> int:
    """What the engine holds beside its prefix cache."""
    lines = real.get("/metrics")[1].decode().splitlines()
    cached = sum(float(line.rpartition(" ")[2]) for line in lines if _PREFIXES.match(line))
    return int(psutil.Process(real.pid("engine")).memory_info().rss - cached)
