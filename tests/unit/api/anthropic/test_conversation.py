"""Anthropic's blocks as chat's turns."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from pydantic import ValidationError

from src.api.anthropic import schemas, tools
from src.api.anthropic.conversation import Conversation, pictures, prefill
from src.api.error_handlers import from_validation
from src.api.openai.result_pictures import ResultPictures
from src.errors import InvalidRequest, UnsupportedValue

PNG = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
URL = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
WORD = {"type": "document", "source": {"type": "base64", "media_type": "application/msword", "data": "AAAA"}}
PDF = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "AAAA"}}


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said}


def result(*content: dict[str, Any]) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": "t1", "content": list(content)}


def turns(*blocks: dict[str, Any], role: str = "user", sees: bool = True) -> tuple[list[dict[str, Any]], list[str]]:
    turn = schemas.AnthropicTurn.model_validate({"role": role, "content": list(blocks)})
    noted: list[str] = []
    conversation = Conversation(ResultPictures(noted.append, sees=sees), noted.append)
    return conversation.turns(turn, 0), noted


def test_a_picture_of_a_result_follows_it() -> None:
    made, aside = turns(result(text("a"), PNG), text("look"))
    assert made == [
        {"role": "tool", "tool_call_id": "t1", "content": "a"},
        {"role": "user", "content": [URL, text("look")]},
    ]
    assert aside == []


def test_a_model_that_sees_nothing_is_told_so() -> None:
    """A picture of a result is no reason to end the session; one of the user's own is what the question is about."""
    made, aside = turns(result(PNG), sees=False)
    assert made == [{"role": "tool", "tool_call_id": "t1", "content": "[a picture: this model reads none]"}]
    assert aside == ["messages.image"]
    assert turns(PNG, sees=False)[0] == [{"role": "user", "content": [URL]}]


def test_a_long_session_shows_its_latest_pictures() -> None:
    """More pictures than a request may have are no reason to end it: the oldest are left out."""
    blocks = [result(PNG), result(PNG, PNG), PNG]
    turn = schemas.AnthropicTurn.model_validate({"role": "user", "content": blocks})
    assert pictures([turn]) == 4
    noted: list[str] = []
    conversation = Conversation(ResultPictures(noted.append, sees=True, too_many=2), noted.append)
    *results, spoken = conversation.turns(turn, 0)
    assert [one["content"].count("earlier picture") for one in results] == [1, 1]
    assert spoken["content"] == [URL, URL]
    assert noted == ["messages.image"] * 2


def test_references_and_search_results_are_text() -> None:
    found = {"type": "search_result", "source": "https://a", "title": "T", "content": [text("b")]}
    made, _ = turns(result({"type": "tool_reference", "tool_name": "find"}, found))
    assert "find" in made[0]["content"]
    assert "T\nhttps://a\nb" in made[0]["content"]
    assert "The tool f" in turns({"type": "tool_reference", "tool_name": "f"})[0][0]["content"]


@pytest.mark.parametrize(
    "source",
    [
        {"type": "text", "media_type": "text/plain", "data": "hello"},
        {"type": "content", "content": "hello"},
        {"type": "content", "content": [text("hello")]},
        {"type": "base64", "media_type": "text/plain", "data": base64.b64encode(b"hello").decode()},
    ],
)
def test_a_document_of_text_is_its_text(source: dict[str, Any]) -> None:
    made, _ = turns({"type": "document", "source": source, "title": "t", "context": "c"}, text("?"))
    assert made == [{"role": "user", "content": "t\nc\nhello?"}]


def test_a_pdf_is_a_file() -> None:
    """In its place, under its title; within a tool's result in that turn."""
    file = {"file_data": "AAAA", "filename": "a.pdf", "origin": "messages[0].content[0]"}
    made, _ = turns(PDF | {"title": "a.pdf", "context": "c"}, text("?"))
    assert made == [{"role": "user", "content": [text("c\n"), {"type": "file", "file": file}, text("?")]}]
    made, aside = turns(result(text("read"), PDF | {"title": "a.pdf"}, PNG))
    assert [turn["role"] for turn in made] == ["tool", "user"]
    assert made[0]["content"] == [text("read"), {"type": "file", "file": file}]
    assert aside == []


def test_a_document_that_is_not_read() -> None:
    """Beside a result a line stands for it; alone it is the question, and refused."""
    made, aside = turns(result(text("file read")), WORD)
    assert "application/msword" in made[1]["content"]
    assert aside == ["messages.document"]
    with pytest.raises(UnsupportedValue, match="application/msword"):
        turns(WORD)
    with pytest.raises(InvalidRequest):
        turns({"type": "document", "source": {"type": "base64", "media_type": "text/plain", "data": "%"}})


def test_what_began_on_another_server_goes_on() -> None:
    """Thoughts nobody else can read are skipped; calls of hosted tools are told."""
    made, _ = turns(
        {"type": "redacted_thinking", "data": "x"},
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "q"}},
        {"type": "web_search_tool_result", "tool_use_id": "s", "content": [{"title": "T"}]},
        text("a"),
        role="assistant",
    )
    said = made[0]["content"]
    assert said.endswith("a")
    assert "query" in said
    assert '"title": "T"' in said


def test_an_unknown_block_is_named() -> None:
    with pytest.raises(ValidationError) as refused:
        turns({"type": "hologram"})
    assert "hologram" in from_validation(refused.value).message


def test_the_answers_beginning() -> None:
    user = {"role": "user", "content": "a"}
    assert not prefill([user])
    assert prefill([user, {"role": "assistant", "content": "b"}])
    assert not prefill([user, {"role": "assistant", "content": "b", "tool_calls": [{}]}])
    empty = [user, {"role": "assistant", "content": ""}]
    assert not prefill(empty)
    assert empty == [user]


def tool(**fields: Any) -> dict[str, Any]:
    made: dict[str, Any] = tools.function(schemas.AnthropicTool.model_validate(fields), 0)["function"]
    return made


@pytest.mark.parametrize(
    ("kind", "name", "properties"),
    [
        ("bash_20250124", "bash", {"command", "restart"}),
        ("text_editor_20250728", "str_replace_based_edit_tool", {"command", "path", "insert_text", "view_range"}),
        ("memory_20250818", "memory", {"command", "old_path", "new_path"}),
        ("computer_20250124", "computer", {"action", "coordinate"}),
    ],
)
def test_tools_that_the_client_runs_have_their_published_schemas(kind: str, name: str, properties: set[str]) -> None:
    made = tool(type=kind, name=name)
    assert made["name"] == name
    assert made["description"]
    assert properties <= set(made["parameters"]["properties"])


def test_old_editors_can_undo() -> None:
    def commands(kind: str) -> list[str]:
        found: list[str] = tool(type=kind, name="e")["parameters"]["properties"]["command"]["enum"]
        return found

    assert "undo_edit" in commands("text_editor_20250124")
    assert "undo_edit" not in commands("text_editor_20250429")


def test_a_tool_needs_no_description_and_no_schema() -> None:
    assert tool(name="f") == {"name": "f"}
    with pytest.raises(UnsupportedValue, match="mcp_toolset"):
        tool(type="mcp_toolset", name="x")
    with pytest.raises(InvalidRequest, match="name"):
        tool(input_schema={})


def test_a_strict_tool_is_one() -> None:
    own = schemas.AnthropicTool.model_validate({"name": "f", "input_schema": {"type": "object"}, "strict": True})
    assert tools.function(own, 0)["function"] == {"name": "f", "parameters": {"type": "object"}, "strict": True}
