"""Turns of a conversation that no template takes as they came. Pure; for every wire, by `convert`."""

from __future__ import annotations

import json

from msgspec.structs import replace

from src.ipc.messages.chat import ChatMessage, ToolCall


def with_whole_calls(messages: tuple[ChatMessage, ...]) -> tuple[ChatMessage, ...]:
    """Calls that were cut off (an answer's limit came inside one) are shown as the text they are, with their results.

    Their client would send the same history for ever, and a template reads arguments as an object or fails.
    """
    cut = {call.id: call.name for message in messages for call in message.tool_calls if not _is_whole(call)}
    return tuple(_shown(_filled(message), cut) for message in messages) if cut or _any_empty(messages) else messages


def _is_whole(call: ToolCall) -> bool:
    try:
        return not call.arguments or isinstance(json.loads(call.arguments), dict)
    except (ValueError, RecursionError):
        return False


def _any_empty(messages: tuple[ChatMessage, ...]) -> bool:
    return any(not call.arguments for message in messages for call in message.tool_calls)


def _filled(message: ChatMessage) -> ChatMessage:
    """No arguments are an empty object."""
    return replace(
        message,
        tool_calls=tuple(call if call.arguments else replace(call, arguments="{}") for call in message.tool_calls),
    )


def _shown(message: ChatMessage, cut: dict[str, str]) -> ChatMessage:
    if message.role == "tool" and message.tool_call_id in cut:
        said = f"Result of {cut[message.tool_call_id]}: "
        parts = (said, *message.parts) if message.parts else ()
        return replace(message, role="user", content=said + message.content, tool_call_id=None, parts=parts)
    lost = [call for call in message.tool_calls if not _is_whole(call)]
    if not lost:
        return message
    kept = tuple(call for call in message.tool_calls if _is_whole(call))
    texts = [f"{call.name}({call.arguments}" for call in lost]
    return replace(message, content="\n".join(filter(None, [message.content, *texts])), tool_calls=kept)
