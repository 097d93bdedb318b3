"""LlamaIndex over a scripted model: an answer, a stream, an agent that reads and edits a file."""

import asyncio
import sys
from pathlib import Path

from llama_index.core.agent.workflow import FunctionAgent
from llama_index.llms.openai_like import OpenAILike

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


llm = OpenAILike(
    model=model, api_base=url, api_key="none", is_chat_model=True, is_function_calling_model=True, max_retries=0
)
assert llm.complete("[[chat]] hi").text == HELLO
assert "".join(piece.delta or "" for piece in llm.stream_complete("[[chat]] hi")) == HELLO


async def main() -> None:
    for streamed in (False, True):
        notes.write_text("alpha\n")
        agent = FunctionAgent(tools=[read_file, edit_file], llm=llm, streaming=streamed)
        said = await agent.run(f"[[tools]] In {notes} replace alpha by omega.")
        assert str(said) == "The file said alpha.", said
        assert notes.read_text() == "omega\n"


asyncio.run(main())
