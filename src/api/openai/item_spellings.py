"""Items of a history that was made with OpenAI's own typed tools, as those of functions and text. Pure.

What a client ran (shells, patches, a computer) is a function's call and its result; what OpenAI ran is told in the
assistant's turn, so that a session that began there goes on here.
"""

from __future__ import annotations

import json
from typing import Any

from src.api.openai import schemas_responses as shapes

_CALLS = {
    "local_shell_call": "local_shell",
    "shell_call": "shell",
    "apply_patch_call": "apply_patch",
    "computer_call": "computer",
}
_OUTPUTS = tuple(f"{call}_output" for call in _CALLS)
_ASKED = ("action", "operation")
_HOSTED = (
    *("web_search_call", "file_search_call", "code_interpreter_call", "image_generation_call"),
    *("mcp_call", "mcp_list_tools", "mcp_approval_request", "mcp_approval_response"),
)
_UNSAID = ("id", "type", "status", "result")  # of what OpenAI ran; a result is a picture
_OWN_OUTPUTS = ("function_call_output", "custom_tool_call_output")
_CHOICES = {"auto": "auto", "none": "none", "required": "required", "any": "required"}
_TOOLS = {
    "function": frozenset(shapes.FunctionTool.model_fields),
    "custom": frozenset(shapes.CustomTool.model_fields),
    "namespace": frozenset(shapes.NamespaceTool.model_fields),
}
_MOST = 2000  # characters of what is told of it


def normalize(items: object) -> object:
    """The items in the spellings that are known; all others as they are."""
    return [_item(item) if isinstance(item, dict) else item for item in items] if isinstance(items, list) else items


def _item(item: dict[str, Any]) -> dict[str, Any]:
    kind, call_id = item.get("type"), item.get("call_id") or item.get("id")
    if kind in tuple(_CALLS):  # it may be anything, also what has no hash
        asked: object = next((item[name] for name in _ASKED if name in item), {})
        call = {"call_id": call_id, "name": _CALLS[str(kind)], "arguments": json.dumps(asked, ensure_ascii=False)}
        return {"type": "function_call", **call}
    if kind in _OUTPUTS:
        return {"type": "function_call_output", "call_id": call_id, "output": _shown(item.get("output"))}
    if kind in _HOSTED:
        told = {name: value for name, value in item.items() if name not in _UNSAID and value is not None}
        text = f"[{kind}: {json.dumps(told, ensure_ascii=False)[:_MOST]}]"
        return {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]}
    if kind == "function_call" and isinstance(item.get("arguments"), dict):
        return {**item, "arguments": json.dumps(item["arguments"], ensure_ascii=False)}
    if kind in _OWN_OUTPUTS and not isinstance(item.get("output"), list):
        return {**item, "output": _said(item.get("output"))}
    return item


def _shown(output: object) -> object:
    """A screenshot as the picture it is."""
    if isinstance(output, dict) and isinstance(url := output.get("image_url"), str):
        return [{"type": "input_image", "image_url": url}]
    return _said(output)


def _said(output: object) -> str:
    """As text; nothing where a tool gave nothing."""
    if output is None:
        return ""
    return output if isinstance(output, str) else json.dumps(output, ensure_ascii=False)


def normalize_tools(body: dict[str, Any]) -> None:
    """Functions as chat has them, and a choice among them as chat or Anthropic has it; in place."""
    if isinstance(tools := body.get("tools"), list):
        body["tools"] = list(map(_flat, tools))
    wish = _flat(body.get("tool_choice"))
    if isinstance(wish, dict) and wish.get("type") == "allowed_tools" and isinstance(wish.get("allowed_tools"), dict):
        wish = {"type": "allowed_tools", **wish["allowed_tools"]}
        wish["tools"] = list(map(_flat, wish["tools"])) if isinstance(wish.get("tools"), list) else wish.get("tools")
    if isinstance(wish, dict) and wish.get("type") in tuple(_CHOICES):
        wish = _CHOICES[wish["type"]]
    if wish is not None:
        body["tool_choice"] = "required" if wish == "any" else wish


def known_tools(tools: list[Any]) -> tuple[list[Any], list[str]]:
    """Tools, a namespace's included, without the fields that nobody knows, and the names of those."""
    unknown: dict[str, None] = {}
    return [_known(tool, "tools", unknown) for tool in tools], list(unknown)


def _known(tool: Any, path: str, unknown: dict[str, None]) -> Any:
    fields = _TOOLS.get(str(tool.get("type"))) if isinstance(tool, dict) else None
    if fields is None:
        return tool
    unknown |= {f"{path}.{name}": None for name, value in tool.items() if name not in fields and value is not None}
    kept = {name: value for name, value in tool.items() if name in fields}
    if isinstance(inner := kept.get("tools"), list):
        kept["tools"] = [_known(one, f"{path}.tools", unknown) for one in inner]
    return kept


def _flat(tool: Any) -> Any:
    """`{"type": "function", "function": {…}}` without its inner object."""
    if isinstance(tool, dict) and isinstance(inner := tool.get("function"), dict) and "name" not in tool:
        return {"type": "function", **{name: value for name, value in tool.items() if name != "function"}, **inner}
    return tool
