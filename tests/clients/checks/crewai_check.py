"""crewai over a scripted model: its model alone, whole and streamed; an agent that reads and edits a file."""

import sys
from pathlib import Path

from crewai import LLM, Agent
from crewai.tools import tool

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


def llm(*, streamed: bool) -> LLM:
    return LLM(model=f"openai/{model}", base_url=url, api_key="none", stream=streamed)


for streamed in (False, True):
    assert llm(streamed=streamed).call("[[chat]] hi") == HELLO
notes.write_text("alpha\n")
agent = Agent(role="editor", goal="edit", backstory="-", llm=llm(streamed=False), tools=[read_file, edit_file])
said = agent.kickoff(f"[[tools]] In {notes} replace alpha by omega.")
assert "The file said alpha." in said.raw, said
assert notes.read_text() == "omega\n"
