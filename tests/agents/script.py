"""What the scripted model says: decides what a small model cannot. Pure; `tests/agents/upstream.py` serves it.

A prompt names its script in double brackets (`[[tools]] …`). The script's step is the number of the model's turns
behind that prompt: nothing is remembered between requests, and a restart changes nothing.
"""

from __future__ import annotations

import hashlib
import json
import re
from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

_MARK = re.compile(r"\[\[(\w+)\]\]")
_SUMMARY = re.compile(r"summar|checkpoint|compact", re.IGNORECASE)
BIG_FILES = 30


@dataclass(frozen=True)
class Answer:
    """`wait_s` before its first byte, `gap_s` between pieces of its text."""

    text: str = ""
    calls: tuple[tuple[str, dict[str, Any]], ...] = ()
    wait_s: float = 0.0
    gap_s: float = 0.0


@dataclass(frozen=True)
class Story:
    """A request as scripts see it: what was said behind the prompt that names the script."""

    tools: tuple[str, ...] = ()
    turns: tuple[dict[str, Any], ...] = ()
    since: tuple[dict[str, Any], ...] = field(default=())

    @property
    def step(self) -> int:
        return sum(turn["role"] == "assistant" for turn in self.since)

    def results(self) -> list[str]:
        return [_text(turn) for turn in self.since if turn["role"] == "tool"]

    def tool(self, *names: str) -> str:
        """The first of these tools that the agent has; semantic-kernel's are PLUGIN-NAME."""
        return next((one for name in names for one in self.tools if name in (one, _bare(one))), "")


def _bare(name: str) -> str:
    return name.rpartition("-")[2]


def answer(body: dict[str, Any]) -> Answer:
    """The scripted model's turn."""
    turns = tuple(body["messages"])
    tools = tuple(tool["function"]["name"] for tool in body.get("tools") or ())
    name, at = _script(turns)
    story = Story(tools, turns, turns[at + 1 :])
    if (
        _SUMMARY.search(_text(turns[-1]))
        and name == "overflow"
        and turns[-1]["role"] == "user"
        and at != len(turns) - 1
    ):
        return Answer("Summary: the big file was read. [[healed]]")
    return SCRIPTS.get(name, _title)(story)


def _script(turns: tuple[dict[str, Any], ...]) -> tuple[str, int]:
    """The last script named by a turn, and that turn's place."""
    for at in reversed(range(len(turns))):
        if turns[at]["role"] != "tool" and (found := _MARK.findall(_text(turns[at]))) and found[-1] in SCRIPTS:
            return found[-1], at
    return "", len(turns) - 1


def _text(turn: dict[str, Any]) -> str:
    content = turn.get("content") or ""
    return content if isinstance(content, str) else "\n".join(part.get("text", "") for part in content)


def _title(story: Story) -> Answer:
    """Agents ask beside their turns for titles and the like."""
    return Answer("A short title")


def _chat(story: Story) -> Answer:
    return Answer("Hello from the script, in several pieces of text.")


def _slow(story: Story) -> Answer:
    """Its first byte is late, so that an engine can be killed before it."""
    return Answer("The slow answer is whole.", wait_s=3.0)


def read_call(story: Story, path: str) -> tuple[str, dict[str, Any]]:
    """How each agent reads a file; paths are relative where the agent allows it."""
    name = story.tool("Read", "read_file", "read", "exec_command", "shell", "shell_command")
    arguments: dict[str, dict[str, Any]] = {
        "Read": {"file_path": path},
        "read_file": {"file_path": path},
        "read": {"filePath": path},
        "exec_command": {"cmd": f"cat {path}"},
        "shell": {"command": ["cat", path]},
        "shell_command": {"command": f"cat {path}"},
    }
    return name, arguments.get(_bare(name), {})


def _edit_call(story: Story, path: str) -> tuple[str, dict[str, Any]]:
    name = story.tool("Edit", "edit_file", "edit", "apply_patch", "exec_command")
    patch = f"*** Begin Patch\n*** Update File: {path}\n@@\n-alpha\n+omega\n*** End Patch\n"
    arguments: dict[str, dict[str, Any]] = {
        "Edit": {"file_path": path, "old_string": "alpha", "new_string": "omega"},
        "edit_file": {"file_path": path, "old_string": "alpha", "new_string": "omega"},
        "edit": {"file_path": path, "filePath": path, "old_string": "alpha", "new_string": "omega"}
        | {"oldString": "alpha", "newString": "omega"},
        "apply_patch": {"input": patch},
        "exec_command": {"cmd": f"sed -i s/alpha/omega/ {path}"},
    }
    return name, arguments.get(_bare(name), {})


def _path(story: Story) -> str:
    """The file that the prompt names by its path."""
    prompts = [_text(turn) for turn in story.turns if turn["role"] == "user"]
    return next((found[-1] for text in reversed(prompts) if (found := re.findall(r"/\S+?\.(?:txt|png|pdf)", text))), "")


def _tools(story: Story) -> Answer:
    """Reads a file, edits it, says what it read."""
    if not story.tools:
        return _title(story)
    if story.step == 0:
        return Answer("I read it.", (read_call(story, _path(story)),))
    if story.step == 1:
        return Answer("", (_edit_call(story, _path(story)),))
    read = "\n".join(story.results() or map(_text, story.since))  # smolagents shows results as the user's words
    said = "The file said alpha." if "alpha" in read else "The file said something else."
    return Answer("", (("final_answer", {"answer": said}),)) if story.tool("final_answer") else Answer(said)


def _blocks(story: Story) -> Answer:
    """An edit by an agent that has no tools: aider's search and replace blocks."""
    return Answer("notes.txt\n```\n<<<<<<< SEARCH\nalpha\n=======\nomega\n>>>>>>> REPLACE\n```\n")


def _mcp(story: Story) -> Answer:
    name = next((tool for tool in story.tools if tool.endswith("secret_word")), "")
    if not story.tools:
        return _title(story)
    if story.step == 0 and not name and story.tool("tool_search"):  # Qwen Code shows such tools when they are asked for
        return Answer("", (("tool_search", {"query": "select:mcp__harbour__secret_word"}),))
    if name and not any(_calls(turn, name) for turn in story.since):
        return Answer("", ((name, {"of": "harbour"}),))
    return Answer(f"The tool said: {' '.join(story.results())}")


def _calls(turn: dict[str, Any], name: str) -> bool:
    return any(call["function"]["name"] == name for call in turn.get("tool_calls") or ())


def _recall(story: Story) -> Answer:
    """Says whether the session before is in the history: its prompt and the answer to it."""
    said = "\n".join(_text(turn) for turn in story.turns if turn is not story.turns[-1])
    whole = "[[chat]]" in said and "Hello from the script" in said
    return Answer("I remember the greeting." if whole else "I remember nothing.")


def _attached(story: Story) -> Answer:
    """What came with the prompt, or else what reading it gives."""
    seen = _pictures(story.turns)
    words = "\n".join(map(_text, story.turns))
    if seen:
        return Answer(f"I see {', '.join(seen)}.")
    if found := re.search(r"INVOICE \d+", words):
        return Answer(f"The document says {found[0]}.")
    if story.step or not story.tools:
        return Answer("I see nothing of it.")
    path = _path(story)
    name = story.tool("view_image") if path.endswith(".png") else ""
    return Answer("", ((name, {"path": path}) if name else read_call(story, path),))


def _pictures(turns: tuple[dict[str, Any], ...]) -> list[str]:
    """The pictures of a conversation, each by the hash of its bytes."""
    parts = [part for turn in turns if isinstance(turn.get("content"), list) for part in turn["content"]]
    urls = [part["image_url"]["url"] for part in parts if part.get("type") == "image_url"]
    return [f"picture {hashlib.sha256(b64decode(url.partition(',')[2])).hexdigest()[:8]}" for url in urls]


def _overflow(story: Story) -> Answer:
    """Reads one big file after the other, until the agent has to shorten its history."""
    if not story.tools:
        return Answer("Summary: the big file was read. [[healed]]")
    if story.step >= BIG_FILES:
        return Answer("The context never filled.")
    path = _path(story).replace("big0", f"big{story.step}")
    return Answer("Another.", (read_call(story, path),))


def _healed(story: Story) -> Answer:
    return Answer("Healed: the history was shortened.")


SCRIPTS: dict[str, Callable[[Story], Answer]] = {
    "chat": _chat,
    "slow": _slow,
    "tools": _tools,
    "blocks": _blocks,
    "mcp": _mcp,
    "recall": _recall,
    "attached": _attached,
    "overflow": _overflow,
    "healed": _healed,
}


def tokens(body: dict[str, Any]) -> int:
    """What the scripted model counts a prompt as: four bytes a token."""
    return len(json.dumps([body["messages"], body.get("tools")])) // 4
