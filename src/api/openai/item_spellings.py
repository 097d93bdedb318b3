"""Items of a history that was made with OpenAI's own typed tools, as those of functions and text. Pure.

What a client ran (shells, patches) is a function's call and its result; what OpenAI ran is told in the assistant's
turn, so that a session that began there goes on here.
"""

from __future__ import annotations

import json
from typing import Any

_CALLS = {"local_shell_call": "local_shell", "shell_call": "shell", "apply_patch_call": "apply_patch"}
_OUTPUTS = tuple(f"{call}_output" for call in _CALLS)
_ASKED = ("action", "operation")
_HOSTED = ("web_search_call", "file_search_call", "code_interpreter_call", "mcp_call")
_UNSAID = ("id", "type", "status")  # of what OpenAI ran
_MOST = 2000  # characters of what is told of it


def normalize(items: object) -> object:
    """The items in the spellings that are known; all others as they are."""
    return [_item(item) if isinstance(item, dict) else item for item in items] if isinstance(items, list) else items


def _item(item: dict[str, Any]) -> dict[str, Any]:
    kind, call_id = item.get("type"), item.get("call_id") or item.get("id")
    if kind in _CALLS:
        asked: object = next((item[name] for name in _ASKED if name in item), {})
        call = {"call_id": call_id, "name": _CALLS[str(kind)], "arguments": json.dumps(asked, ensure_ascii=False)}
        return {"type": "function_call", **call}
    if kind in _OUTPUTS:
        return {"type": "function_call_output", "call_id": call_id, "output": _said(item.get("output"))}
    if kind in _HOSTED:
        told = {name: value for name, value in item.items() if name not in _UNSAID and value is not None}
        text = f"[{kind}: {json.dumps(told, ensure_ascii=False)[:_MOST]}]"
        return {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]}
    return item


def _said(output: object) -> str:
    return output if isinstance(output, str) else json.dumps(output, ensure_ascii=False)
