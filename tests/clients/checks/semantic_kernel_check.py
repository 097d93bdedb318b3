"""semantic-kernel over a scripted model: an answer, a stream, functions that it calls by itself."""

import asyncio
import sys
from pathlib import Path

from openai import AsyncOpenAI
from semantic_kernel import Kernel
from semantic_kernel.connectors.ai import FunctionChoiceBehavior
from semantic_kernel.connectors.ai.open_ai import OpenAIChatCompletion, OpenAIChatPromptExecutionSettings
from semantic_kernel.contents import ChatHistory
from semantic_kernel.functions import kernel_function

url, model, folder = sys.argv[1:4]
notes = Path(folder) / "notes.txt"
HELLO = "Hello from the script, in several pieces of text."


class Files:
    @kernel_function(name="read_file", description="What a file says.")
    def read_file(self, file_path: str) -> str:
        return Path(file_path).read_text()

    @kernel_function(name="edit_file", description="Replace text in a file.")
    def edit_file(self, file_path: str, old_string: str, new_string: str) -> str:
        path = Path(file_path)
        path.write_text(path.read_text().replace(old_string, new_string))
        return "edited"


def history(text: str) -> ChatHistory:
    made = ChatHistory()
    made.add_user_message(text)
    return made


async def main() -> None:
    client = AsyncOpenAI(base_url=url, api_key="none", max_retries=0)
    chat = OpenAIChatCompletion(ai_model_id=model, async_client=client)
    plain = OpenAIChatPromptExecutionSettings()
    assert str(await chat.get_chat_message_content(history("[[chat]] hi"), plain)) == HELLO
    pieces = [str(piece) async for piece in chat.get_streaming_chat_message_content(history("[[chat]] hi"), plain)]
    assert "".join(pieces) == HELLO
    kernel = Kernel()
    kernel.add_plugin(Files(), "files")
    calls = OpenAIChatPromptExecutionSettings(function_choice_behavior=FunctionChoiceBehavior.Auto())
    asked = f"[[tools]] In {notes} replace alpha by omega."
    notes.write_text("alpha\n")
    said = await chat.get_chat_message_content(history(asked), calls, kernel=kernel)
    assert str(said) == "The file said alpha.", said
    assert notes.read_text() == "omega\n"
    notes.write_text("alpha\n")
    stream = chat.get_streaming_chat_message_content(history(asked), calls, kernel=kernel)
    assert "".join([str(piece) async for piece in stream]).endswith("The file said alpha.")
    assert notes.read_text() == "omega\n"


asyncio.run(main())
