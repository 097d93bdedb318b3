"""Asks one server for many streams at once and reads them, in a process of its own: `python -m tests.bench.chat.load`.

Takes bodies as a JSON list on standard input; prints one JSON list of what each stream saw, seconds since all began.
A plain socket reader: a client library would take the processor from the servers.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from typing import Any

_PATIENCE_S = 900.0
_LIMIT = 1 << 22


async def stream(port: int, body: dict[str, Any], began: float) -> dict[str, Any]:
    """First and last token, gaps between reads that brought some, events with text, and how it ended."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=_LIMIT)
    data = json.dumps(body).encode()
    head = "POST /v1/chat/completions HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
    writer.write(f"{head}Content-Length: {len(data)}\r\nConnection: close\r\n\r\n".encode() + data)
    status = int((await reader.readline()).split()[1])
    seen: dict[str, Any] = {"status": status, "first": None, "last": None, "events": 0, "gap": 0.0, "length": False}
    async for line in reader:
        if not line.startswith(b"data: {"):
            continue
        now = time.perf_counter() - began
        seen["length"] |= b'"length"' in line
        if b'"content"' in line and b'"content":""' not in line and b'"content": ""' not in line:
            seen["gap"] = max(seen["gap"], now - seen["last"]) if seen["last"] is not None else 0.0
            seen["first"] = now if seen["first"] is None else seen["first"]
            seen["last"] = now
            seen["events"] += 1
    seen["end"] = time.perf_counter() - began
    writer.close()
    return seen


async def run(port: int, bodies: list[dict[str, Any]]) -> list[dict[str, Any]]:
    began = time.perf_counter()
    return await asyncio.wait_for(asyncio.gather(*[stream(port, body, began) for body in bodies]), _PATIENCE_S)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    sys.stdout.write(json.dumps(asyncio.run(run(parser.parse_args().port, json.load(sys.stdin)))))
