"""A conversation in Anthropic's blocks as chat's turns. Pure; `messages` calls it.

Results of tools are turns of their own in chat; their pictures follow in the user's turn. Where a picture or a document
of a result cannot be read, a text stands in its place, so that the session can go on: it is noted.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Iterable
from typing import Any

from src.api.anthropic import schemas as shapes
from src.api.openai import spellings, translation
from src.api.openai.fields import DOCUMENT_STAND_IN
from src.api.openai.result_pictures import ResultPictures
from src.errors import InvalidRequest, UnsupportedValue

_PDF = "application/pdf"

Part = dict[str, Any]
Turn = dict[str, Any]


class Conversation:
    """Translates turn by turn. `note` is told what is set aside."""

    def __init__(self, pictures: ResultPictures, note: Callable[[str], None]) -> None:
        self._pictures = pictures
        self._note = note

    def turns(self, turn: shapes.AnthropicTurn, at: int) -> list[Turn]:
        """One turn as chat has it."""
        if isinstance(turn.content, str):
            return [{"role": turn.role, "content": turn.content}]
        results, shown = self._results(turn.content, at)
        spoken: Turn = {"role": turn.role}
        parts: list[Part] = list(shown)
        for number, block in enumerate(turn.content):
            param = f"messages[{at}].content[{number}]"
            if isinstance(block, shapes.ThinkingBlock):
                spoken["reasoning_content"] = spoken.get("reasoning_content", "") + block.thinking
            elif isinstance(block, shapes.ToolUseBlock):
                spoken.setdefault("tool_calls", []).append(_call(block))
            elif isinstance(block, shapes.DocumentBlock):
                parts += self._document(block, param, in_result=bool(results))
            else:
                parts += _parts(block)
        content = translation.content_of(parts)
        return [*results, spoken | {"content": content}] if len(spoken) > 1 or content or not results else results

    def _results(self, blocks: list[shapes.Block], at: int) -> tuple[list[Turn], list[Part]]:
        """The results of tools, and the pictures in them."""
        results: list[Turn] = []
        shown: list[Part] = []
        for number, block in enumerate(blocks):
            if isinstance(block, shapes.ToolResultBlock):
                text, pictures = self._result(block, f"messages[{at}].content[{number}]")
                results.append({"role": "tool", "tool_call_id": block.tool_use_id, "content": text})
                shown += pictures
        return results, shown

    def _result(self, block: shapes.ToolResultBlock, param: str) -> tuple[str | list[Part], list[Part]]:
        if block.content is None or isinstance(block.content, str):
            return block.content or "", []
        parts: list[Part] = []
        for inner in block.content:
            if isinstance(inner, shapes.DocumentBlock):
                parts += self._document(inner, param, in_result=True)
            elif isinstance(inner, shapes.ImageBlock) and (text := self._pictures.stand_in()) is not None:
                parts.append(_text(text))
            else:
                parts += _parts(inner)
        pictures = [part for part in parts if part["type"] == "image_url"]
        said = [part for part in parts if part["type"] != "image_url"]
        if any(part["type"] != "text" for part in said):
            return said, pictures
        texts = [part["text"] for part in said]
        return "\n".join(texts) or ("[the picture follows]" if pictures else ""), pictures

    def _document(self, block: shapes.DocumentBlock, param: str, *, in_result: bool) -> list[Part]:
        """A document's text under its title, or a PDF; another one has a line in its place beside a tool's result."""
        source, title = block.source, "\n".join(filter(None, (block.title, block.context)))
        head = [_text(f"{title}\n")] if title else []
        if source.type == "text" and isinstance(source.data, str):
            return [*head, _text(source.data)]
        if source.type == "content":
            inner = source.content
            return [*head, *([_text(inner)] if isinstance(inner, str) else _each(inner or []))]
        if source.type == "base64" and source.media_type.startswith("text/"):
            return [*head, _text(_decoded(source.data, param))]
        if source.type == "base64" and source.media_type == _PDF:
            context = [_text(f"{block.context}\n")] if block.context else []
            return [*context, spellings.pdf(source.data or "", block.title, origin=param)]
        if in_result:
            self._note(DOCUMENT_STAND_IN)
            return [*head, _text(f"[a document ({source.media_type}): it is not read here]")]
        raise UnsupportedValue(f"Documents of type {source.media_type!r} are not read here.", param=param)


def _each(blocks: Iterable[shapes.InnerBlock]) -> list[Part]:
    return [part for block in blocks for part in _parts(block)]


def _parts(block: shapes.Block | shapes.InnerBlock) -> list[Part]:
    """What of a block the model is shown; nothing of thoughts that only Anthropic can read."""
    if isinstance(block, shapes.TextBlock):
        return [_text(block.text)]
    if isinstance(block, shapes.ImageBlock):
        return [{"type": "image_url", "image_url": {"url": _image(block.source)}}]
    said = _said(block)
    return [_text(said)] if said else []


def _said(block: shapes.Block | shapes.InnerBlock) -> str:
    """Blocks that are text in another form."""
    if isinstance(block, shapes.SearchResultBlock):
        return "\n".join((block.title, block.source, *(inner.text for inner in block.content))) + "\n"
    if isinstance(block, shapes.ToolReferenceBlock):
        return f"[The tool {block.tool_name} is available now.]"
    if isinstance(block, shapes.CompactionBlock):
        return f"Summary of the conversation so far:\n\n{block.content}\n" if block.content else ""
    if isinstance(block, shapes.HostedUseBlock):
        return f"[{block.name}: {json.dumps(block.input, ensure_ascii=False)}]\n"
    if isinstance(block, shapes.HostedResultBlock):
        return f"[{block.type}: {json.dumps(block.content, ensure_ascii=False)}]\n"
    return ""


def _text(text: str) -> Part:
    return {"type": "text", "text": text}


def _call(block: shapes.ToolUseBlock) -> dict[str, Any]:
    function = {"name": block.name, "arguments": json.dumps(block.input)}
    return {"id": block.id, "type": "function", "function": function}


def _image(source: shapes.ImageSource) -> str:
    return source.url if source.type == "url" else f"data:{source.media_type};base64,{source.data}"


def _decoded(data: str | None, param: str) -> str:
    try:
        return base64.b64decode(data or "", validate=True).decode()
    except (binascii.Error, ValueError):
        raise InvalidRequest("The document is no base64 of UTF-8 text.", param=param) from None


def prefill(turns: list[Turn]) -> bool:
    """Whether the last turn is the answer's beginning. One of the assistant's that says nothing is taken away."""
    last = turns[-1]
    if last["role"] != "assistant" or last.get("tool_calls"):
        return False
    if last.get("content"):
        return True
    turns.pop()
    return False


def pictures(turns: Iterable[shapes.AnthropicTurn]) -> int:
    """How many a conversation shows, in its turns and in the results of tools."""
    blocks = [block for turn in turns if not isinstance(turn.content, str) for block in turn.content]
    inner = [
        one
        for block in blocks
        if isinstance(block, shapes.ToolResultBlock) and isinstance(block.content, list)
        for one in block.content
    ]
    return sum(isinstance(block, shapes.ImageBlock) for block in (*blocks, *inner))
