"""A chat body in the spellings that clients use, as the one that the schemas know: content parts, and functions from
before there were tools. Pure.

LangChain, the AI SDK, Gemini-style clients, Anthropic's blocks and Ollama's `images` each write a picture or a PDF in
their own way. What is none of them is left as it is: the schemas say what is wrong with it.
"""

from __future__ import annotations

import base64
import re
from typing import Any

from src.api.openai.schemas import PART_TYPES
from src.errors import InvalidRequest, UnsupportedValue

_UNCLEAN = re.compile(r"[\s_-]")
_CLEANER = {**str.maketrans("-_", "+/"), **dict.fromkeys(map(ord, " \t\r\n\f\v"))}
_HEAD = 256
_PDF = "application/pdf"
_PDF_BASE64 = "JVBERi"  # how %PDF begins
_PNG = "image/png"  # what a picture's own first bytes say counts; this is only its place


def normalize(messages: object) -> None:
    """Bring the parts of these turns into one spelling, in place."""
    for turn in messages if isinstance(messages, list) else ():
        if not isinstance(turn, dict):
            continue
        content = turn.get("content")
        if isinstance(content, list):
            turn["content"] = [_part(part) for part in content]
        if turn.get("role") == "tool" and content is None:  # a tool that gave nothing
            turn["content"] = ""
        if isinstance(images := turn.pop("images", None), list):
            text = [{"type": "text", "text": content}] if isinstance(content, str) and content else content or []
            turn["content"] = [*text, *(_url(_data(_PNG, one)) for one in images)]


def check_parts(messages: object) -> None:
    """Name a part that is not known by its own type, before a union's members are tried one by one.

    Raises:
        UnsupportedValue: naming the types there are.
    """
    for at, turn in enumerate(messages if isinstance(messages, list) else ()):
        content = turn.get("content") if isinstance(turn, dict) else None
        for place, part in enumerate(content if isinstance(content, list) else ()):
            kind = part.get("type") if isinstance(part, dict) else None
            if kind not in PART_TYPES:
                named = f" of type {kind[:64]!r}" if isinstance(kind, str) else " without a type"
                text = f"Parts{named} are not supported here; {', '.join(PART_TYPES)} are."
                raise UnsupportedValue(text, param=f"messages[{at}].content[{place}].type")


def _part(part: Any) -> Any:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    if not isinstance(part, dict):
        return part
    if part.get("type") in ("input_text", "output_text", None) and isinstance(part.get("text"), str):
        return {"type": "text", "text": part["text"]}
    return _file(part) or _shown(part)


def _shown(part: dict[str, Any]) -> dict[str, Any]:
    url = _picture(part)
    if url is None:
        return part
    if _is_pdf(url):
        return pdf(url, part.get("filename"))
    shown = part.get("image_url")
    detail = (shown if isinstance(shown, dict) else part).get("detail")
    return _url(url, {} if detail is None else {"detail": detail})


def pdf(data: str, filename: object = None, *, origin: str | None = None) -> dict[str, Any]:
    """A PDF as chat has it. `origin`: where the client has the part, for errors."""
    said = {"filename": filename, "origin": origin}
    return {"type": "file", "file": {"file_data": data, **{name: one for name, one in said.items() if one is not None}}}


def _file(part: dict[str, Any]) -> dict[str, Any] | None:
    """A part's PDF, if it holds one in a spelling that is known."""
    if part.get("type") not in (None, "file", "input_file", "document", "media"):
        return None
    inline = _first(part, ("file", "source", "inline_data", "inlineData"), dict) or part
    data = _first(inline, ("file_data", "data", "base64"), str)
    if data is not None and data[:11].lower() == "data:image/":
        return _url(_clean_url(data))
    mime = _first(inline, ("media_type", "mime_type", "mimeType", "mediaType"), str)
    if data is None or (mime != _PDF and "file_data" not in inline):
        return None
    name = _first({**part, **inline}, ("filename", "title", "name"), str)
    if (text := _plain_text(data)) is not None:
        return {"type": "text", "text": f"\n[Document {name or 'document.txt'}]\n\n{text}\n\n[End of document]\n"}
    return pdf(_data(_PDF, data), name, origin=_first(inline, ("origin",), str))


def _plain_text(url: str) -> str | None:
    """What a text file's `data:` URL holds; None for every other file."""
    head, comma, _ = url[:_HEAD].partition(",")
    mime = head[5:].lower()
    if not comma or not mime.startswith(("text/", "application/json")) or "base64" not in mime:
        return None
    try:
        return base64.b64decode(_clean(url[len(head) + 1 :]), validate=True).decode()
    except ValueError:
        return None


def _is_pdf(url: str) -> bool:
    """By what it says it is, or how its base64 begins."""
    head, comma, data = url[:_HEAD].partition(",")
    return bool(comma) and (head[5:].lower().startswith(_PDF) or data.startswith(_PDF_BASE64))


def _picture(part: dict[str, Any]) -> str | None:
    """A part's picture as a URL; None when it is none, or in no spelling that is known."""
    if part.get("type") not in (None, "image_url", "image", "input_image", "media"):
        return None
    found = next((part[name] for name in ("image_url", "image", "url") if name in part), None)
    if isinstance(found, dict):
        found = found.get("url")
    if isinstance(found, str):
        return _clean_url(found) if found else None
    inline = _first(part, ("source", "inline_data", "inlineData"), dict) or part
    if isinstance(inline.get("url"), str):
        return _clean_url(inline["url"])
    mime = _first(inline, ("media_type", "mime_type", "mimeType"), str) or _PNG
    data = inline.get("data", inline.get("base64"))
    return _data(mime, data) if isinstance(data, str) and mime.startswith("image/") else None


def _first(fields: dict[str, Any], names: tuple[str, ...], kind: type) -> Any:
    return next((fields[name] for name in names if isinstance(fields.get(name), kind)), None)


def _url(url: str, detail: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url, **(detail or {})}}


def _clean_url(url: str) -> str:
    """Bare base64 counts as a picture where no URL could look like it."""
    if url[:5].lower() == "data:":
        comma = url.find(",", 0, _HEAD)
        return url if comma < 0 else url[: comma + 1] + _clean(url[comma + 1 :])
    return url if "://" in url[:16] else _data(_PNG, url)


def _data(mime: str, data: object) -> str:
    text = data if isinstance(data, str) else ""
    return _clean_url(text) if text[:5].lower() == "data:" else f"data:{mime};base64,{_clean(text)}"


def _clean(data: str) -> str:
    """Base64 of the usual alphabet, without line breaks and with its padding."""
    if _UNCLEAN.search(data):
        data = data.translate(_CLEANER)
    return data + "=" * (-len(data) % 4)


def to_tools(body: dict[str, Any]) -> bool:
    """Put functions and their calls into tools' words; whether the answer speaks the old way, too.

    Raises:
        InvalidRequest: for a body that speaks both.
    """
    for old, new in (("functions", "tools"), ("function_call", "tool_choice")):
        if body.get(old) and body.get(new) is not None:
            raise InvalidRequest(f"{old} and {new} exclude each other.", param=old)
    turns = body.get("messages")
    for at, turn in enumerate(turns if isinstance(turns, list) else ()):
        if isinstance(turn, dict):
            _turn(turn, at, turns[:at] if isinstance(turns, list) else [])
    functions, call = body.pop("functions", None), body.pop("function_call", None)
    if call is not None:
        body["tool_choice"] = {"type": "function", "function": call} if isinstance(call, dict) else call
    if not functions:
        return False
    if not isinstance(functions, list):
        raise InvalidRequest("functions must be a list.", param="functions")
    body["tools"] = [{"type": "function", "function": one} for one in functions]
    body["parallel_tool_calls"] = False
    return True


def _turn(turn: dict[str, Any], at: int, before: list[Any]) -> None:
    if isinstance(call := turn.get("function_call"), dict):
        turn["tool_calls"] = [{"id": f"call_{at}", "type": "function", "function": call}]
        turn["function_call"] = None
    if turn.get("role") == "function":
        turn["role"] = "tool"
        turn["tool_call_id"] = next(filter(None, map(_call_id, reversed(before))), "call")


def _call_id(turn: Any) -> str | None:
    calls = turn.get("tool_calls") if isinstance(turn, dict) else None
    first = calls[0] if isinstance(calls, list) and calls else None
    return first.get("id") if isinstance(first, dict) else None
