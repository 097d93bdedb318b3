"""smolagents over a scripted model: an agent with two tools reads and edits a file; a stream."""

import sys
from pathlib import Path

from smolagents import ChatMessage, OpenAIModel, ToolCallingAgent, tool

url, model, folder = sys.argv[1:4]
notes = Path(folder) / "notes.txt"


@tool
def read_file(file_path: str) -> str:
    """What a file says.

    Args:
        file_path: the file
    """
    return Path(file_path).read_text()


@tool
def edit_file(file_path: str, old_string: str, new_string: str) -> str:
    """Replace text in a file.

    Args:
        file_path: the file
        old_string: what goes
        new_string: what comes
    """
    path = Path(file_path)
    path.write_text(path.read_text().replace(old_string, new_string))
    return "edited"


engine = OpenAIModel(model, api_base=url, api_key="none")
turn = [ChatMessage(role="user", content=[{"type": "text", "text": "[[chat]] hi"}])]
assert engine.generate(turn).content == "Hello from the script, in several pieces of text."
pieces = "".join(piece.content or "" for piece in engine.generate_stream(turn))
assert pieces == "Hello from the script, in several pieces of text."
notes.write_text("alpha\n")
agent = ToolCallingAgent(tools=[read_file, edit_file], model=engine, max_steps=4, verbosity_level=0)
said = agent.run(f"[[tools]] In {notes} replace alpha by omega.")
assert said == "The file said alpha.", said
assert notes.read_text() == "omega\n"
