"""autogen over a scripted model: an answer, a stream, an assistant that reads and edits a file."""

import asyncio
import sys
from pathlib import Path

from autogen_agentchat.agents import AssistantAgent
from autogen_core.models import UserMessage
from autogen_ext.models.openai import OpenAIChatCompletionClient

url, model, folder = sys.argv[1:4]
notes = Path(folder) / "notes.txt"
HELLO = "Hello from the script, in several pieces of text."


def read_file(file_path: str) -> str:
    """What a file says."""
    return Path(file_path).read_text()


def edit_file(file_path: str, old_string: str, new_string: str) -> str:
    """Replace text in a file."""
    path = Path(file_path)
    path.write_text(path.read_text().replace(old_string, new_string))
    return "edited"


async def main() -> None:
    known = {"vision": False, "function_calling": True, "json_output": True, "family": "unknown"}
    client = OpenAIChatCompletionClient(
        model=model, base_url=url, api_key="none", max_retries=0, model_info=known | {"structured_output": True}
    )
    turn = [UserMessage(content="[[chat]] hi", source="user")]
    assert (await client.create(turn)).content == HELLO
    pieces = [piece async for piece in client.create_stream(turn)]
    assert "".join(piece for piece in pieces if isinstance(piece, str)) == HELLO
    for streamed in (False, True):
        notes.write_text("alpha\n")
        agent = AssistantAgent(
            "editor", client, tools=[read_file, edit_file], max_tool_iterations=5, model_client_stream=streamed
        )
        run = await agent.run(task=f"[[tools]] In {notes} replace alpha by omega.")
        assert run.messages[-1].content == "The file said alpha.", run
        assert notes.read_text() == "omega\n"


asyncio.run(main())
