"""LangChain: agents over a scripted model, by langchain-openai (chat and responses) and langchain-anthropic."""

import sys
from pathlib import Path

from langchain.agents import create_agent
from langchain_anthropic import ChatAnthropic
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

url, model, folder = sys.argv[1:4]
notes = Path(folder) / "notes.txt"


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


openai = {"base_url": url, "api_key": "none", "model": model, "max_retries": 0}
models = [
    ChatOpenAI(**openai),
    ChatOpenAI(**openai, streaming=True),
    ChatOpenAI(**openai, use_responses_api=True),
    ChatAnthropic(base_url=url.removesuffix("/v1"), api_key="none", model=model, max_retries=0),
]
for each in models:
    notes.write_text("alpha\n")
    agent = create_agent(each, [read_file, edit_file], system_prompt="You edit files.")
    turn = {"role": "user", "content": f"[[tools]] In {notes} replace alpha by omega."}
    said = agent.invoke({"messages": [turn]})["messages"][-1]
    assert said.text == "The file said alpha.", (each, said)
    assert notes.read_text() == "omega\n"
    pieces = [piece.text for piece in each.stream([{"role": "user", "content": "[[chat]] Hi"}])]
    assert "".join(pieces).startswith("Hello from the script"), (each, pieces)
