"""An MCP server on standard input and output with one tool, `secret_word`. Agents start it; it needs Python alone."""

from __future__ import annotations

import json
import sys
from typing import Any

WORD = "KITTIWAKE"
_TOOL = {
    "name": "secret_word",
    "description": "The secret word of a place.",
    "inputSchema": {"type": "object", "properties": {"of": {"type": "string"}}, "required": ["of"]},
}


def _result(method: str, params: dict[str, Any]) -> dict[str, Any] | None:
    """What a method answers; None for one that is not known."""
    version = params.get("protocolVersion", "2025-06-18")
    known: dict[str, dict[str, Any]] = {
        "initialize": {
            "protocolVersion": version,
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "harbour", "version": "1"},
        },
        "tools/list": {"tools": [_TOOL]},
        "tools/call": {"content": [{"type": "text", "text": WORD}], "isError": False},
        "ping": {},
    }
    return known.get(method)


def main() -> None:
    for line in sys.stdin:
        message = json.loads(line)
        if "id" not in message:
            continue
        result = _result(message["method"], message.get("params") or {})
        outcome = {"result": result} if result is not None else {"error": {"code": -32601, "message": "unknown method"}}
        sys.stdout.write(json.dumps({"jsonrpc": "2.0", "id": message["id"], **outcome}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
