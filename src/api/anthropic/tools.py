"""Anthropic's tools as functions: the client's own, and those whose schemas Anthropic has published. Pure.

A typed tool that the client runs (bash, text editor, memory, computer) is offered as the function its client expects
to be called; what Anthropic would run itself is `fields`' to judge.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from src.api.anthropic import schemas as shapes
from src.errors import InvalidRequest, UnsupportedValue

_TEXT = {"type": "string"}
_NUMBER = {"type": "integer"}
_RANGE = {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2}
_POINT = {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2}
_EDITS = ("view", "create", "str_replace", "insert")
_ACTIONS = (
    *("key", "type", "mouse_move", "left_click", "left_click_drag", "right_click", "middle_click", "double_click"),
    *("triple_click", "left_mouse_down", "left_mouse_up", "scroll", "hold_key", "wait", "screenshot"),
    "cursor_position",
)


def _object(required: tuple[str, ...], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required)}


def _choices(*values: str) -> dict[str, Any]:
    return {"type": "string", "enum": list(values)}


def _bash(_: shapes.AnthropicTool) -> tuple[str, dict[str, Any]]:
    return "Run a command in a bash shell that keeps its state.", _object(
        (),
        command=_TEXT | {"description": "The command to run. Required unless the tool is restarted."},
        restart={"type": "boolean", "description": "Restart the shell."},
    )


def _editor(tool: shapes.AnthropicTool) -> tuple[str, dict[str, Any]]:
    undo = ("undo_edit",) if (tool.type or "") < "text_editor_202504" else ()
    return "View, create and edit text files.", _object(
        ("command", "path"),
        command=_choices(*_EDITS, *undo),
        path=_TEXT | {"description": "Absolute path of a file or folder."},
        file_text=_TEXT | {"description": "For create: what the file will hold."},
        old_str=_TEXT | {"description": "For str_replace: the text to replace, which must be there once."},
        new_str=_TEXT | {"description": "For str_replace: the new text."},
        insert_line=_NUMBER | {"description": "For insert: the line after which the text goes."},
        insert_text=_TEXT | {"description": "For insert: the text."},
        view_range=_RANGE | {"description": "For view: first and last line; -1 is the file's end."},
    )


def _memory(_: shapes.AnthropicTool) -> tuple[str, dict[str, Any]]:
    return "Keep notes in files under /memories, and read them again.", _object(
        ("command",),
        command=_choices(*_EDITS, "delete", "rename"),
        path=_TEXT,
        file_text=_TEXT,
        old_str=_TEXT,
        new_str=_TEXT,
        insert_line=_NUMBER,
        insert_text=_TEXT,
        view_range=_RANGE,
        old_path=_TEXT,
        new_path=_TEXT,
    )


def _computer(tool: shapes.AnthropicTool) -> tuple[str, dict[str, Any]]:
    size = f"{tool.display_width_px or 0}x{tool.display_height_px or 0}"
    return f"Use the mouse and keyboard of a computer whose screen has {size} pixels.", _object(
        ("action",),
        action=_choices(*_ACTIONS),
        coordinate=_POINT,
        start_coordinate=_POINT,
        text=_TEXT,
        duration={"type": "number"},
        scroll_direction=_choices("up", "down", "left", "right"),
        scroll_amount=_NUMBER,
    )


_Typed = Callable[[shapes.AnthropicTool], tuple[str, dict[str, Any]]]
_TYPED: dict[str, _Typed] = {"bash_": _bash, "text_editor_": _editor, "memory_": _memory, "computer_": _computer}


def function(tool: shapes.AnthropicTool, at: int) -> dict[str, Any]:
    """A tool in chat's form.

    Raises:
        UnsupportedValue: for a type that is not known.
        InvalidRequest: for a tool without a name.
    """
    typed = next((make for head, make in _TYPED.items() if (tool.type or "").startswith(head)), None)
    if typed is None and tool.type not in (None, "custom"):
        raise UnsupportedValue(f"Tools of type {tool.type!r} are not supported here.", param=f"tools[{at}].type")
    if not tool.name:
        raise InvalidRequest(f"Missing required parameter: 'tools[{at}].name'.", param=f"tools[{at}].name")
    description, schema = typed(tool) if typed is not None else (None, tool.input_schema)
    made: dict[str, Any] = {"name": tool.name, "description": tool.description or description, "parameters": schema}
    made["strict"] = tool.strict
    return {"type": "function", "function": {name: value for name, value in made.items() if value is not None}}
