"""openai-agents over a scripted model: a loop with two tools, over /v1/responses and over chat, whole and streamed."""

import asyncio
import sys
from pathlib import Path

from agents import (
    Agent,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    Runner,
    function_tool,
    set_tracing_disabled,
)
from openai import AsyncOpenAI

url, name, folder = sys.argv[1:4]
set_tracing_disabled(True)
notes = Path(folder) / "notes.txt"


@function_tool
def read_file(file_path: str) -> str:
    """What a file says."""
    return Path(file_path).read_text()


@function_tool
def edit_file(file_path: str, old_string: str, new_string: str) -> str:
    """Replace text in a file."""
    path = Path(file_path)
    path.write_text(path.read_text().replace(old_string, new_string))
    return "edited"


async def main() -> None:
    client = AsyncOpenAI(base_url=url, api_key="none", max_retries=0)
    for kind in (OpenAIChatCompletionsModel, OpenAIResponsesModel):
        agent = Agent(name="editor", model=kind(model=name, openai_client=client), tools=[read_file, edit_file])
        for streamed in (False, True):
            notes.write_text("alpha\n")
            prompt = f"[[tools]] In {notes} replace alpha by omega."
            if streamed:
                run = Runner.run_streamed(agent, prompt)
                assert [event async for event in run.stream_events()]
            else:
                run = await Runner.run(agent, prompt)
            assert run.final_output == "The file said alpha.", (kind, streamed, run.final_output)
            assert notes.read_text() == "omega\n"


asyncio.run(main())
