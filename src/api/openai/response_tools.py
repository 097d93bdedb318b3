"""The tools of /v1/responses as chat's functions, and the way back from a called function to the client's tool. Pure.

A namespace's tools are offered as NAMESPACE__NAME; a custom tool is a function with one string.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from src.api.openai.custom_input import PARAMETERS, described
from src.api.openai.schemas_responses import (
    AllowedTools,
    CustomTool,
    FunctionTool,
    NamedTool,
    NamespaceTool,
    ResponsesRequest,
    ResponseTool,
)
from src.errors import InvalidRequest
from src.ipc.messages.chat import InputFormat, Tool

SEPARATOR = "__"


@dataclass(frozen=True)
class Offered:
    """One tool as the client knows it."""

    name: str
    namespace: str | None = None
    custom: bool = False


def flat_name(name: str, namespace: str | None) -> str:
    return name if namespace is None else f"{namespace}{SEPARATOR}{name}"


def offered(tools: Iterable[ResponseTool]) -> dict[str, Offered]:
    """The client's tools by the names under which the model knows them."""
    return {
        flat_name(tool.name, namespace): Offered(tool.name, namespace, isinstance(tool, CustomTool))
        for tool, namespace in _each(tools)
    }


def _each(tools: Iterable[ResponseTool]) -> Iterator[tuple[FunctionTool | CustomTool, str | None]]:
    for tool in tools:
        if isinstance(tool, NamespaceTool):
            yield from ((inner, tool.name) for inner in tool.tools)
        else:
            yield tool, None


def functions(tools: Iterable[ResponseTool]) -> list[dict[str, Any]]:
    """The tools in chat's form."""
    return [_function(tool, flat_name(tool.name, namespace)) for tool, namespace in _each(tools)]


def _function(tool: FunctionTool | CustomTool, name: str) -> dict[str, Any]:
    made: dict[str, Any] = {"name": name, "description": tool.description}
    if isinstance(tool, CustomTool):
        made |= {"description": described(tool.description, _form(tool)), "parameters": PARAMETERS}
    else:
        made |= {"parameters": tool.parameters, "strict": tool.strict}
    return {"type": "function", "function": {key: value for key, value in made.items() if value is not None}}


def with_formats(offers: tuple[Tool, ...], tools: Iterable[ResponseTool]) -> tuple[Tool, ...]:
    """The engine's tools with the forms that custom tools' inputs must have.

    Raises:
        InvalidRequest: for half a grammar.
    """
    forms = {
        flat_name(tool.name, namespace): form
        for tool, namespace in _each(tools)
        if isinstance(tool, CustomTool) and (form := _form(tool)) is not None
    }
    return tuple(replace(offer, input_format=forms.get(offer.name)) for offer in offers) if forms else offers


def _form(tool: CustomTool) -> InputFormat | None:
    """Raises InvalidRequest for half a grammar."""
    form = tool.format
    if form is None or form.type == "text":
        return None
    if form.syntax is None or form.definition is None:
        raise InvalidRequest("A grammar needs its syntax and its definition.", param="tools")
    return InputFormat(form.syntax, form.definition)


def choice(own: ResponsesRequest, tools: list[dict[str, Any]]) -> tuple[object, list[dict[str, Any]]]:
    """The tool choice in chat's form, and the functions it leaves.

    Raises:
        InvalidRequest: it allows none of the tools.
    """
    wish = own.tool_choice
    if isinstance(wish, NamedTool):
        return {"type": "function", "function": {"name": flat_name(wish.name, wish.namespace)}}, tools
    if not isinstance(wish, AllowedTools):
        return wish, tools
    allowed = {flat_name(str(tool.get("name")), tool.get("namespace")) for tool in wish.tools}
    left = [tool for tool in tools if tool["function"]["name"] in allowed]
    if not left:
        raise InvalidRequest("tool_choice allows none of the tools.", param="tool_choice")
    return wish.mode, left
