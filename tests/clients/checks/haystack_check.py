"""haystack over a scripted model: an answer, a stream, an agent that reads and edits a file."""

import sys
from pathlib import Path

from haystack.components.agents import Agent
from haystack.components.generators.chat import OpenAIChatGenerator
from haystack.dataclasses import ChatMessage
from haystack.tools import tool
from haystack.utils import Secret

url, model, folder = sys.argv[1:4]
notes = Path(folder) / "notes.txt"
HELLO = "Hello from the script, in several pieces of text."


@tool
def read_file(file_path: str) -> str:
    """What a file says."""
    return Path(file_path).read_text()


@tool
def edit_file(file_path: str, old_string: str, new_string: str) -> str:
    """Replace text in a file."""
    path = Path(file_path)
    path.write_text(path.read_text().replace(old_string, new_string))
    return "edited"


def generator() -> OpenAIChatGenerator:
    return OpenAIChatGenerator(api_key=Secret.from_token("none"), model=model, api_base_url=url, max_retries=0)


turn = [ChatMessage.from_user("[[chat]] hi")]
assert generator().run(messages=turn)["replies"][0].text == HELLO
pieces = []
generator().run(messages=turn, streaming_callback=lambda piece: pieces.append(piece.content))
assert "".join(pieces) == HELLO
notes.write_text("alpha\n")
agent = Agent(chat_generator=generator(), tools=[read_file, edit_file])
said = agent.run(messages=[ChatMessage.from_user(f"[[tools]] In {notes} replace alpha by omega.")])
assert said["messages"][-1].text == "The file said alpha.", said
assert notes.read_text() == "omega\n"
